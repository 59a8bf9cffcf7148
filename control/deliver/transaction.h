// transaction.h - one message on its way to one next hop list, for up to SMTP_CLIENT_RCPTS_MAX of its recipients.
//
// Waiting it is small; when a connection takes it, transaction_load() adds what is on disk and room for the answers.
//
// Thread:  the event loop of postern-deliver.
// Memory:  one block each, and loaded: one struct spool_message and the answers.
// Blocks:  transaction_load() reads the disk.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "deliver/queue.h"
#include "deliver/smtp_client.h"
#include "spool/spool_reader.h"

struct transaction {
	struct transaction *next;
	struct queue_message *message; // stays: its recipients here are SENDING
	struct spool_message *spool;   // NULL: not loaded
	struct smtp_client_mail mail;  // its rcpts are in the order of ours
	uint32_t count;
	uint32_t rcpts[]; // indexes into the message's recipients
};

struct transaction *transaction_new(struct queue_message *message, uint32_t count);
void transaction_free(struct transaction *t);

// ERR_*: as spool_reader_message().
MUST_CHECK enum err transaction_load(struct transaction *t, struct spool_reader *reader);
void transaction_unload(struct transaction *t);
