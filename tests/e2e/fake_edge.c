// fake_edge.c - stands where the supervisor and postern-edge stand for postern-deliver, and does what a script says.
//
//   fake_edge DELIVER CONFIG SPOOL SEGMENT_OCTETS
//
// Commands, one a line on stdin; each is answered by one line on stdout:
//   put FILE SENDER RCPT...   message from FILE ("-" as SENDER: null), made durable, then told -> "put ID"
//   fill FILE COUNT           as many, from s@example.org to rN@example.net, with one sync for many -> "fill"
//   start                     a new postern-deliver -> "started PID"
//   kill | stop               SIGKILL, or STOP over the link -> "ended STATUS"
//   channel                   a new channel to the one that runs -> "channel"
//   config FILE               hand over another configuration -> "config"
//   ask JSON                  -> the answer
//   segments                  -> "segments N": gone so far
//   quit
//
// Thread: one. Memory: small. Blocks: in poll().

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "spool/channel.h"
#include "spool/envelope.h"
#include "spool/message_id.h"
#include "spool/spool_writer.h"
#include "supervise/child_link.h"

enum {
	LINE_OCTETS = 65536,
	INJECTS_MAX = 64,
};

// A DSN being handed over.
struct inject {
	uint64_t token;
	uint32_t rcpt_count;
	uint8_t envelope[CHANNEL_DATA_MAX];
	size_t envelope_octets;
	uint8_t *body;
	size_t body_octets;
};

struct edge {
	const char *deliver, *config, *spool;
	struct spool_writer *writer;
	uint64_t counter;
	pid_t pid;
	int link, channel;
	struct inject injects[INJECTS_MAX];
	uint64_t segments_gone;
	uint64_t token;
	struct spool_answer durable; // of the last commit
	bool is_durable;
};

static void channel_put(struct edge *e, const struct channel_record *record, const void *data)
{
	while (e->channel >= 0) {
		struct pollfd p = {.fd = e->channel, .events = POLLOUT};
		enum err err = channel_send(e->channel, record, data);

		if (err == ERR_OK)
			return;
		if (err != ERR_MORE) {
			close(e->channel);
			e->channel = -1;
			return;
		}
		poll(&p, 1, 100);
	}
}

// The spool

static struct spool_buf *buf_take(void *user)
{
	(void)user;
	return calloc(1, sizeof(struct spool_buf));
}

static void on_answer(void *user, const struct spool_answer *answer)
{
	struct edge *e = user;
	struct spool_buf *b = answer->buf;

	while (b != NULL) {
		struct spool_buf *next = b->next;

		free(b);
		b = next;
	}
	if (answer->kind != SPOOL_PUT_COMMIT)
		return;
	e->durable = *answer;
	e->is_durable = answer->status == ERR_OK;
}

static void chunks_put(struct edge *e, struct spool_request *request, const uint8_t *body, size_t n)
{
	request->kind = SPOOL_PUT_CHUNK;
	for (size_t at = 0; at < n;) {
		struct spool_buf *b = buf_take(NULL);

		b->octets = n - at < LIMIT_SPOOL_BUF_OCTETS ? (uint32_t)(n - at)
							    : LIMIT_SPOOL_BUF_OCTETS;
		memcpy(b->data, body + at, b->octets);
		at += b->octets;
		request->buf = b;
		spool_writer_put(e->writer, request, time(NULL));
	}
}

static void committed_tell(struct edge *e)
{
	const struct channel_record record = {.kind = CHANNEL_COMMITTED,
		.message_id = e->durable.message_id,
		.segment = e->durable.segment,
		.offset = e->durable.offset};

	assert(e->is_durable);
	channel_put(e, &record, NULL);
}

static void request_put(struct edge *e, struct spool_request *request, struct spool_buf *envelope,
	const uint8_t *body, size_t octets)
{
	request->message_id = message_id_make(spool_writer_boot(e->writer), 1, ++e->counter);
	request->body_octets = octets;
	chunks_put(e, request, body, octets);
	request->kind = SPOOL_PUT_COMMIT;
	request->buf = envelope;
	spool_writer_put(e->writer, request, time(NULL));
}

// Durable, then told. 0: the spool did not take it.
static uint64_t message_put(struct edge *e, struct spool_request *request,
	struct spool_buf *envelope, const uint8_t *body, size_t octets)
{
	request_put(e, request, envelope, body, octets);
	e->is_durable = false;
	spool_writer_sync(e->writer, time(NULL), on_answer, e);
	if (!e->is_durable)
		return 0;
	committed_tell(e);
	return request->message_id;
}

static void put_string(struct envelope_writer *w, const char *text, bool is_rcpt)
{
	uint16_t n = (uint16_t)strlen(text);

	assert((is_rcpt ? envelope_put_rcpt(w, text, n) : envelope_put(w, text, n)) == ERR_OK);
}

static uint8_t *file_read(const char *path, size_t *octets)
{
	FILE *f = fopen(path, "r");
	uint8_t *body;
	long n;

	assert(f != NULL && fseek(f, 0, SEEK_END) == 0);
	n = ftell(f);
	rewind(f);
	body = malloc((size_t)n + 1);
	assert(body != NULL && fread(body, 1, (size_t)n, f) == (size_t)n);
	fclose(f);
	*octets = (size_t)n;
	return body;
}

static bool has_8bit(const uint8_t *body, size_t octets)
{
	for (size_t i = 0; i < octets; i++)
		if (body[i] > 127)
			return true;
	return false;
}

// rcpts: separated by spaces.
static struct spool_buf *envelope_make(const char *sender, char *rcpts)
{
	const char *strings[ENVELOPE_STRINGS] = {
		sender, "default", "mail.neulan.net", "192.0.2.9", "client", ""};
	struct envelope_writer w;

	envelope_begin(&w, buf_take, NULL);
	for (size_t i = 0; i < ENVELOPE_STRINGS; i++)
		put_string(&w, strings[i], false);
	for (char *rcpt = strtok(rcpts, " "); rcpt != NULL; rcpt = strtok(NULL, " "))
		put_string(&w, rcpt, true);
	return w.first;
}

static uint32_t words(const char *text)
{
	uint32_t n = 1;

	for (; *text != '\0'; text++)
		n += *text == ' ';
	return n;
}

static void command_put(struct edge *e, char *args)
{
	const char *file = strtok(args, " "), *sender = strtok(NULL, " ");
	char *rcpts = strtok(NULL, "");
	struct spool_request request = {.epoch = 1, .rcpt_count = words(rcpts)};
	char id[MESSAGE_ID_TEXT_MAX];
	size_t octets;
	uint8_t *body = file_read(file, &octets);
	uint64_t n;

	if (has_8bit(body, octets))
		request.flags = SPOOL_COMMIT_8BIT;
	n = message_put(e, &request, envelope_make(strcmp(sender, "-") == 0 ? "" : sender, rcpts),
		body, octets);
	free(body);
	printf("put %s\n", n != 0 ? message_id_print(n, id) : "failed");
}

static void on_fill_answer(void *user, const struct spool_answer *answer)
{
	struct edge *e = user;

	on_answer(e, answer);
	if (answer->kind == SPOOL_PUT_COMMIT)
		committed_tell(e);
}

static void command_fill(struct edge *e, char *args)
{
	const char *file = strtok(args, " ");
	long count = strtol(strtok(NULL, " "), NULL, 10);
	size_t octets;
	uint8_t *body = file_read(file, &octets);

	for (long i = 0; i < count; i++) {
		struct spool_request request = {.epoch = 1, .rcpt_count = 1};
		char rcpt[64];

		snprintf(rcpt, sizeof(rcpt), "r%ld@example.net", i);
		request_put(e, &request, envelope_make("s@example.org", rcpt), body, octets);
		if (i % 200 == 199 || i == count - 1)
			spool_writer_sync(e->writer, time(NULL), on_fill_answer, e);
	}
	free(body);
	printf("fill\n");
}

// What the deliverer says

static struct inject *inject_find(struct edge *e, const struct channel_record *record)
{
	for (size_t i = 0; i < INJECTS_MAX; i++)
		if (e->injects[i].token == record->token)
			return &e->injects[i];
	for (size_t i = 0; i < INJECTS_MAX; i++) {
		struct inject *in = &e->injects[i];

		if (in->token != 0)
			continue;
		in->token = record->token;
		in->rcpt_count = record->rcpt_count;
		in->envelope_octets = record->octets;
		memcpy(in->envelope, record->data, record->octets);
		return in;
	}
	abort(); // more than the deliverer hands over at once
}

static void inject_end(struct edge *e, struct inject *in)
{
	struct spool_request request = {.epoch = 1, .origin = 1, .rcpt_count = in->rcpt_count};
	struct channel_record record = {.kind = CHANNEL_INJECTED, .token = in->token};
	struct spool_buf *envelope = buf_take(NULL);

	assert(in->envelope_octets <= LIMIT_SPOOL_BUF_OCTETS);
	envelope->octets = (uint32_t)in->envelope_octets;
	memcpy(envelope->data, in->envelope, in->envelope_octets);
	record.message_id = message_put(e, &request, envelope, in->body, in->body_octets);
	record.status = record.message_id != 0 ? ERR_OK : ERR_DISK_IO;
	free(in->body);
	memset(in, 0, sizeof(*in));
	channel_put(e, &record, NULL);
}

static void on_inject(struct edge *e, const struct channel_record *record)
{
	bool is_first = true;
	struct inject *in;

	for (size_t i = 0; i < INJECTS_MAX; i++)
		is_first = is_first && e->injects[i].token != record->token;
	in = inject_find(e, record);
	if (!is_first) {
		in->body = realloc(in->body, in->body_octets + record->octets);
		assert(in->body != NULL);
		memcpy(in->body + in->body_octets, record->data, record->octets);
		in->body_octets += record->octets;
	}
	if ((record->flags & CHANNEL_MORE) == 0)
		inject_end(e, in);
}

static void on_segment_done(struct edge *e, const struct channel_record *record)
{
	struct channel_record gone = {.kind = CHANNEL_SEGMENT_GONE, .segment = record->segment};

	if (!spool_writer_segment_done(e->writer, record->segment, record->token))
		return;
	e->segments_gone++;
	channel_put(e, &gone, NULL);
}

// One record. True: the answer (or its end) that is waited for.
static bool on_record(struct edge *e, const struct channel_record *record)
{
	if (record->kind == CHANNEL_INJECT)
		on_inject(e, record);
	else if (record->kind == CHANNEL_SEGMENT_DONE)
		on_segment_done(e, record);
	else if (record->kind == CHANNEL_QUEUE_ANSWER && record->token == e->token) {
		fwrite(record->data, 1, record->octets, stdout);
		return (record->flags & CHANNEL_MORE) == 0;
	}
	return false;
}

static bool channel_read(struct edge *e)
{
	static _Alignas(8) uint8_t in[CHANNEL_RECORD_MAX];
	struct channel_record *record = (struct channel_record *)(void *)in;
	bool is_answered = false;

	while (e->channel >= 0 && !is_answered) {
		enum err err = channel_receive(e->channel, record);

		if (err == ERR_MORE)
			break;
		if (err != ERR_OK) {
			close(e->channel);
			e->channel = -1;
			break;
		}
		is_answered = on_record(e, record);
	}
	return is_answered;
}

// The process

static void channel_make(struct edge *e)
{
	struct channel_record sync = {
		.kind = CHANNEL_SYNC, .segment = spool_writer_segment(e->writer)};
	int pair[2];

	if (e->channel >= 0)
		close(e->channel);
	for (size_t i = 0; i < INJECTS_MAX; i++)
		free(e->injects[i].body);
	memset(e->injects, 0, sizeof(e->injects));
	assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	assert(child_link_send(e->link, CHILD_LINK_CHANNEL, pair[1]) == 0);
	close(pair[1]);
	e->channel = pair[0];
	channel_put(e, &sync, NULL);
}

static int config_memfd(const char *path)
{
	size_t octets;
	uint8_t *text = file_read(path, &octets);
	int fd = memfd_create("config", MFD_CLOEXEC);

	assert(fd >= 0 && write(fd, text, octets) == (ssize_t)octets);
	free(text);
	return fd;
}

static void child_exec(const struct edge *e, int link, int config)
{
	// High first, so that neither is overwritten before it is moved.
	int l = fcntl(link, F_DUPFD, 20), c = fcntl(config, F_DUPFD, 20);

	dup2(l, CHILD_LINK_FD);
	dup2(c, CHILD_CONFIG_FD);
	close(l);
	close(c);
	execl(e->deliver, e->deliver, e->config, (char *)NULL);
	_exit(127);
}

static void command_start(struct edge *e)
{
	int pair[2], config = config_memfd(e->config), fd;
	struct child_link_record record;
	struct pollfd p;

	assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	e->pid = fork();
	if (e->pid == 0)
		child_exec(e, pair[1], config);
	close(pair[1]);
	close(config);
	e->link = pair[0];
	channel_make(e);
	p = (struct pollfd){.fd = e->link, .events = POLLIN};
	poll(&p, 1, 10000);
	if (child_link_receive(e->link, &record, &fd) == 1 && record.kind == CHILD_LINK_READY)
		printf("started %d\n", e->pid);
	else
		printf("failed\n");
}

static void command_end(struct edge *e, bool is_kill)
{
	int status = 0;

	if (is_kill)
		kill(e->pid, SIGKILL);
	else
		(void)child_link_send(e->link, CHILD_LINK_STOP, -1);
	waitpid(e->pid, &status, 0);
	close(e->link);
	if (e->channel >= 0)
		close(e->channel);
	e->link = e->channel = -1;
	e->pid = 0;
	printf("ended %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void command_ask(struct edge *e, const char *json)
{
	struct channel_record ask = {
		.kind = CHANNEL_QUEUE_ASK, .octets = (uint32_t)strlen(json), .token = ++e->token};

	channel_put(e, &ask, json);
	while (e->channel >= 0) {
		struct pollfd p = {.fd = e->channel, .events = POLLIN};

		poll(&p, 1, 1000);
		if (channel_read(e))
			break;
	}
	printf("\n");
}

static void command_config(struct edge *e, const char *path)
{
	int fd = config_memfd(path);

	assert(child_link_send(e->link, CHILD_LINK_CONFIG, fd) == 0);
	close(fd);
	printf("config\n");
}

static void command(struct edge *e, char *line)
{
	char *args = line + strcspn(line, " ");

	if (*args != '\0')
		*args++ = '\0';
	if (strcmp(line, "put") == 0)
		command_put(e, args);
	else if (strcmp(line, "fill") == 0)
		command_fill(e, args);
	else if (strcmp(line, "start") == 0)
		command_start(e);
	else if (strcmp(line, "kill") == 0 || strcmp(line, "stop") == 0)
		command_end(e, strcmp(line, "kill") == 0);
	else if (strcmp(line, "ask") == 0)
		command_ask(e, args);
	else if (strcmp(line, "config") == 0)
		command_config(e, args);
	else if (strcmp(line, "segments") == 0)
		printf("segments %llu\n", (unsigned long long)e->segments_gone);
	else if (strcmp(line, "channel") == 0) {
		channel_make(e);
		printf("channel\n");
	} else
		printf("what? %s\n", line);
	fflush(stdout);
}

// Lines are read without stdio's buffer, which poll() cannot see into.
static bool line_read(char *line)
{
	static char in[LINE_OCTETS];
	static size_t have;
	char *end;

	while ((end = memchr(in, '\n', have)) == NULL) {
		ssize_t n = read(STDIN_FILENO, in + have, sizeof(in) - have);

		if (n <= 0)
			return false;
		have += (size_t)n;
	}
	*end = '\0';
	memcpy(line, in, (size_t)(end - in) + 1);
	have -= (size_t)(end - in) + 1;
	memmove(in, end + 1, have);
	return true;
}

int main(int argc, char **argv)
{
	static struct edge e = {.link = -1, .channel = -1};
	static char line[LINE_OCTETS];

	assert(argc == 5);
	e.deliver = argv[1];
	e.config = argv[2];
	e.spool = argv[3];
	assert(spool_writer_open(&(struct spool_writer_config){.disk = disk_real(),
					 .directory = e.spool,
					 .segment_octets = strtoull(argv[4], NULL, 10)},
		       time(NULL), &e.writer) == ERR_OK);
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		struct pollfd p[] = {{.fd = STDIN_FILENO, .events = POLLIN},
			{.fd = e.channel, .events = POLLIN}};

		if (poll(p, 2, 1000) < 0)
			break;
		if ((p[1].revents & (POLLIN | POLLHUP)) != 0)
			(void)channel_read(&e);
		if ((p[0].revents & (POLLIN | POLLHUP)) == 0)
			continue;
		if (!line_read(line) || strcmp(line, "quit") == 0)
			break;
		command(&e, line);
	}
	if (e.pid > 0)
		command_end(&e, true);
	return 0;
}
