// dialog_word.h - words and numbers of a line.
//
// Thread: any. Memory: words lie in the line, which is cut up. A line that is not right fails the dialogue.

#pragma once

#include <stdint.h>

// The next word, or NULL at the end. "quoted text" is one word, kept with its first quote.
char *dialog_word(char **at);
// The same; the end fails.
char *dialog_word_need(char **at);
uint32_t dialog_word_number(char **at);
