#include "diff/diff_ours.h"

#include <stdlib.h>
#include <string.h>

#include "dialog/dialog.h"
#include "sim/tcp_check.h"
#include "tcp/tcp_conn.h"

enum { STEP_US = 50 };

void diff_ours_begin(const char *name, bool v6)
{
	dialog_reset(name, v6);
	// As a Linux socket that was closed.
	dialog.config.reset_late_data = true;
	dialog.config.receive_window = 65535;
	// The link of both has an MTU of 1500.
	if (v6)
		dialog.config.mss = 1440;
	dialog_begin();
}

void diff_ours_end(void)
{
	free(dialog.stack);
	dialog.stack = NULL;
}

static void call_peer(void)
{
	struct segment t = dialog_addressed();
	struct segment out = {
		.src = t.dst, .dst = t.src, .src_port = t.dst_port, .dst_port = t.src_port};

	dialog.listen = false;
	dialog_peer()->conn = tcp_connect(dialog.stack, &out, dialog.now_us);
}

static void act(const struct diff_step *step)
{
	static const uint8_t octets[1 << 16];
	struct dialog_peer *peer = dialog_peer();

	if (step->verb == DIFF_SEGMENT) {
		struct segment to = dialog_addressed();
		struct segment s = diff_step_segment(step, peer->isn, peer->tsval_last);

		s.src = to.src;
		s.dst = to.dst;
		s.src_port = to.src_port;
		s.dst_port = to.dst_port;
		tcp_input(dialog.stack, &s, dialog.listen, dialog.now_us);
	} else if (step->verb == DIFF_CONNECT) {
		call_peer();
	} else if (step->verb == DIFF_SEND && peer->conn != NULL) {
		(void)!tcp_send(peer->conn, (struct slice){octets, step->octets}, dialog.now_us);
	} else if (step->verb == DIFF_SHUTDOWN && peer->conn != NULL) {
		tcp_shutdown(peer->conn, dialog.now_us);
	} else if (step->verb == DIFF_CLOSE && peer->conn != NULL) {
		tcp_close(peer->conn, dialog.now_us);
	} else if (step->verb == DIFF_ABORT && peer->conn != NULL) {
		tcp_abort(peer->conn, dialog.now_us);
	}
}

// Neither the delay of ACKs nor the limit of challenges is compared: both go by the clock.
static void forget_time(void)
{
	struct tcp_conn *conn = dialog_conn();

	if (conn == NULL)
		return;
	conn->challenges = 0;
	if (tcp_conn_has(conn, TCP_F_ACK_OWED)) {
		conn->flags |= TCP_F_ACK_NOW;
		tcp_conn_touch(conn);
	}
}

static void take_event(const char *text, struct diff_outcome *out)
{
	if (strcmp(text, "opened") == 0)
		out->opened = true;
	else if (strcmp(text, "peer_closed") == 0)
		out->peer_closed = true;
	else if (strcmp(text, "closed reset") == 0)
		out->broken = true;
	else if (strncmp(text, "data ", 5) == 0)
		out->data_octets += (uint32_t)strtoul(text + 5, NULL, 10);
}

void diff_ours_play(const struct diff_step *step, struct diff_outcome *out)
{
	*out = (struct diff_outcome){0};
	dialog.now_us += STEP_US;
	act(step);
	forget_time();
	tcp_flush(dialog.stack, dialog.now_us);
	tcp_check(dialog.stack);
	while (dialog.sent_first < dialog.sent_count)
		diff_outcome_add(out, &dialog_next_sent()->s, dialog_peer()->isn);
	while (dialog.event_first < dialog.event_count)
		take_event(dialog_next_event()->text, out);
}
