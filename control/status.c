#include "control/status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/explain.h"
#include "control/status_ports.h"
#include "tls/tls_memory.h"

enum {
	EXPIRY_WARNING_S = 14 * 86400,
};

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void put(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_integer((json_int_t)value));
}

const char *status_state_name(enum edge_vserver_state state)
{
	switch (state) {
	case EDGE_RUNNING:
		return "running";
	case EDGE_PAUSED:
		return "paused";
	case EDGE_DRAINING:
		return "draining";
	case EDGE_STOPPED:
		return "stopped";
	}
	return "unknown";
}

// --- numbers ---

static uint64_t dropped_by(const struct edge_worker *w)
{
	uint64_t sum = 0;

	for (int d = 0; d < DROP_COUNT; d++)
		sum += load(&w->drops[d]);
	return sum;
}

static json_t *drops_json(const struct edge *edge)
{
	json_t *drops = json_object();

	for (int d = 0; d < DROP_COUNT; d++) {
		uint64_t sum = 0;

		for (unsigned i = 0; i < edge->worker_count; i++)
			sum += load(&edge->workers[i]->drops[d]);
		if (sum != 0)
			put(drops, drop_name((enum drop)d), sum);
	}
	return drops;
}

// Received = handled + dropped, over all workers; a packet passed on to another worker is counted where it ends.
static json_t *packets_json(const struct edge *edge)
{
	uint64_t received = 0, handled = 0, dropped = 0, sent = 0, sent_dropped = 0;
	uint64_t reassembled = 0, reassembling = 0;
	json_t *packets = json_object();

	for (unsigned i = 0; i < edge->worker_count; i++) {
		const struct edge_worker *w = edge->workers[i];

		received += load(&w->rx_packets);
		handled += load(&w->handled);
		dropped += dropped_by(w);
		reassembled += load(&w->reassembled);
		reassembling += load(&w->reassembling);
		sent += load(&w->tx_packets);
		sent_dropped += load(&w->tx_dropped);
	}
	put(packets, "received", received);
	put(packets, "handled", handled);
	put(packets, "dropped", dropped);
	json_object_set_new(
		packets, "unaccounted", json_integer((json_int_t)(received - handled - dropped)));
	put(packets, "missed_by_port", status_ports_missed(edge));
	put(packets, "reassembled", reassembled);
	put(packets, "reassembling",
		reassembling); // their fragments are unaccounted for until then
	put(packets, "sent", sent);
	put(packets, "send_dropped", sent_dropped);
	return packets;
}

// What a worker has given up for want of memory, and how often it came to that.
static json_t *pressure_json(const struct edge_worker *w)
{
	static const char *const names[] = {
#define LEVEL(name, text) text,
		PRESSURE_LEVELS(LEVEL)
#undef LEVEL
	};
	json_t *pressure = json_object(), *raised = json_object();

	for (int i = PRESSURE_PRUNE; i < PRESSURE_COUNT; i++)
		put(raised, names[i], load(&w->pressure_raised[i]));
	json_object_set_new(pressure, "level", json_string(names[atomic_load(&w->pressure_level)]));
	json_object_set_new(pressure, "raised", raised);
	put(pressure, "pruned", load(&w->pressure_pruned));
	put(pressure, "reset", load(&w->pressure_reset));
	return pressure;
}

static json_t *worker_json(const struct edge_worker *w)
{
	json_t *worker = json_object();

	put(worker, "lcore", w->lcore);
	put(worker, "rx_packets", load(&w->rx_packets));
	put(worker, "tx_packets", load(&w->tx_packets));
	put(worker, "rx_octets", load(&w->rx_octets));
	put(worker, "tx_octets", load(&w->tx_octets));
	put(worker, "tx_dropped", load(&w->tx_dropped));
	put(worker, "handled", load(&w->handled));
	put(worker, "dropped", dropped_by(w));
	put(worker, "steered_out", load(&w->steered_out));
	put(worker, "steered_in", load(&w->steered_in));
	put(worker, "connections", load(&w->connections));
	put(worker, "loops", load(&w->loops));
	put(worker, "idle_loops", load(&w->idle_loops));
	put(worker, "sleeps", load(&w->sleeps));
	put(worker, "busy_cycles", load(&w->busy_cycles));
	json_object_set_new(worker, "pressure", pressure_json(w));
	put(worker, "blocks_free", load(&w->blocks_free));
	put(worker, "bufs_free", load(&w->bufs_free));
	put(worker, "log_lost", load(&w->log_lost));
	put(worker, "names_asked", load(&w->names_asked));
	put(worker, "names_failed", load(&w->names_failed));
	put(worker, "names_refused", load(&w->names_refused));
	return worker;
}

static json_t *tcp_json(const struct edge *edge)
{
	uint64_t retransmits = 0, resets_in = 0, resets_out = 0, opened = 0, open = 0;
	uint64_t sent = 0, taken = 0, bad = 0, pushed_out = 0, icmp_errors = 0, pmtu_cuts = 0;
	json_t *tcp = json_object();

	for (unsigned i = 0; i < edge->worker_count; i++) {
		const struct edge_worker *w = edge->workers[i];

		retransmits += load(&w->tcp_retransmits);
		resets_in += load(&w->tcp_resets_in);
		resets_out += load(&w->tcp_resets_out);
		opened += load(&w->tcp_opened);
		open += load(&w->connections);
		sent += load(&w->cookies_sent);
		taken += load(&w->cookies_taken);
		bad += load(&w->cookies_bad);
		icmp_errors += load(&w->icmp_errors);
		pmtu_cuts += load(&w->pmtu_cuts);
		pushed_out += load(&w->handshakes_pushed_out);
	}
	put(tcp, "open", open);
	put(tcp, "opened", opened);
	put(tcp, "retransmits", retransmits);
	put(tcp, "resets_in", resets_in);
	put(tcp, "resets_out", resets_out);
	put(tcp, "cookies_sent", sent);
	put(tcp, "cookies_taken", taken);
	put(tcp, "cookies_bad", bad);
	put(tcp, "icmp_errors", icmp_errors);
	put(tcp, "pmtu_cuts", pmtu_cuts);
	put(tcp, "handshakes_pushed_out", pushed_out);
	return tcp;
}

static json_t *tls_memory_json(const struct edge *edge)
{
	uint64_t open = 0, alerts = 0;
	json_t *tls = json_object();

	for (unsigned i = 0; i < edge->worker_count; i++) {
		open += load(&edge->workers[i]->tls_open);
		alerts += load(&edge->workers[i]->tls_alerts);
	}
	put(tls, "open", open);
	put(tls, "fatal_alerts", alerts);
	put(tls, "shared_octets", tls_memory_shared_octets());
	put(tls, "sessions_out_of_memory", tls_memory_refusals());
	return tls;
}

static json_t *spool_json(const struct edge *edge)
{
	json_t *spool = json_object();

	json_object_set_new(spool, "accepting", json_boolean(atomic_load(&edge->spool_accepting)));
	put(spool, "committed", load(&edge->spool_committed));
	put(spool, "syncs", load(&edge->spool_syncs));
	put(spool, "errors", load(&edge->spool_errors));
	return spool;
}

// --- virtual servers ---

static void sum_counters(const struct edge *edge, unsigned slot, json_t *object)
{
#define COUNTER(name)                                                                              \
	do {                                                                                       \
		uint64_t sum = 0;                                                                  \
		for (unsigned i = 0; i < edge->worker_count; i++)                                  \
			sum += load(&edge->workers[i]->vservers[slot].name);                       \
		put(object, #name, sum);                                                           \
	} while (0)
	COUNTER(connections);
	COUNTER(open);
	COUNTER(refused_connect);
	COUNTER(rcpt_accepted);
	COUNTER(rcpt_relayed);
	COUNTER(rcpt_refused);
	COUNTER(rcpt_deferred);
	COUNTER(messages);
	COUNTER(messages_refused);
	COUNTER(octets);
	COUNTER(tls_sessions);
	COUNTER(tls_resumed);
	COUNTER(tls_failed);
	COUNTER(tls_refused);
	COUNTER(tls_early);
#undef COUNTER
}

static json_t *listen_json(const struct config_vserver *v)
{
	json_t *list = json_array();

	if (v->all_unassigned)
		json_array_append_new(
			list, json_sprintf("all-unassigned:%u", v->all_unassigned_port));
	for (uint32_t i = 0; i < v->listen_count; i++) {
		char text[IP_ADDR_TEXT_MAX];
		bool v4 = ip_addr_is_v4(&v->listen[i].addr);

		ip_addr_print(&v->listen[i].addr, text);
		json_array_append_new(list, json_sprintf("%s%s%s:%u", v4 ? "" : "[", text,
						    v4 ? "" : "]", v->listen[i].port));
	}
	return list;
}

static json_t *workers_of(const struct status_parts *parts, const struct snapshot_vserver *v)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < parts->edge->worker_count && i < 64; i++)
		if (v->worker_mask >> i & 1)
			json_array_append_new(list, json_integer(parts->edge->workers[i]->lcore));
	return list;
}

// Certificates end; renewals that fail are silent.
static json_t *tls_json(const struct status_parts *parts, uint16_t index)
{
	int64_t expires_s = parts->policy->tls_expires_s[index], left_s = expires_s - parts->now_s;
	time_t when = (time_t)expires_s;
	const char *state = left_s <= 0                 ? "expired"
			    : left_s < EXPIRY_WARNING_S ? "expires soon"
							: "good";
	char text[32];
	struct tm tm;

	gmtime_r(&when, &tm);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_pack("{s:s, s:s, s:I}", "certificate", state, "expires", text, "days_left",
		(json_int_t)(left_s / 86400));
}

static json_t *vserver_json(const struct status_parts *parts, uint16_t index)
{
	const struct snapshot_vserver *v = &parts->policy->snapshot->vservers[index];
	unsigned slot = parts->policy->slot[index];
	enum edge_vserver_state state =
		(enum edge_vserver_state)atomic_load(&parts->edge->vservers[slot].state);
	json_t *object = json_object();

	json_object_set_new(object, "state", json_string(status_state_name(state)));
	json_object_set_new(object, "fqdn", json_string(v->config->fqdn));
	json_object_set_new(object, "listen", listen_json(v->config));
	json_object_set_new(object, "workers", workers_of(parts, v));
	json_object_set_new(object, "steering",
		json_string(status_ports_steering(parts->edge, parts->policy, index)));
	if (v->config->open_relay_understood)
		json_object_set_new(object, "open_relay", json_string("i-understand"));
	if (!v->config->forward_confirm && (v->connect_names || v->relay_names))
		json_object_set_new(object, "risk", json_string(EXPLAIN_RISK_UNCONFIRMED));
	if (parts->policy->tls[index] != NULL)
		json_object_set_new(object, "tls", tls_json(parts, index));
	sum_counters(parts->edge, slot, object);
	return object;
}

json_t *status_vservers(const struct status_parts *parts)
{
	json_t *list = json_object();

	for (uint16_t i = 0; i < parts->policy->snapshot->vserver_count; i++)
		json_object_set_new(list, parts->policy->snapshot->vservers[i].config->name,
			vserver_json(parts, i));
	return json_pack("{s:o}", "vservers", list);
}

json_t *status_json(const struct status_parts *parts)
{
	json_t *status = status_vservers(parts), *workers = json_array(), *log = json_object();
	const struct edge *edge = parts->edge;

	for (unsigned i = 0; i < edge->worker_count; i++)
		json_array_append_new(workers, worker_json(edge->workers[i]));
	put(log, "written", parts->log.written);
	put(log, "lost_in_rings", parts->log.lost_in_rings);
	put(log, "lost_in_files", parts->log.lost_in_files);
	json_object_set_new(status, "version", json_string(POSTERN_VERSION));
	put(status, "uptime_s", (uint64_t)(parts->now_s - edge->started_s));
	put(status, "epoch", parts->policy->snapshot->epoch);
	put(status, "policies_retired", parts->policies_held);
	json_object_set_new(
		status, "configuration", json_string(parts->policy->snapshot->config->path));
	json_object_set_new(status, "huge_pages", json_boolean(edge->huge_pages));
	status_ports_add(status, edge, parts->policy);
	json_object_set_new(status, "draining", json_boolean(atomic_load(&edge->draining)));
	json_object_set_new(status, "deliver", json_string(parts->deliver_up ? "up" : "down"));
	json_object_set_new(status, "packets", packets_json(edge));
	json_object_set_new(status, "drops", drops_json(edge));
	json_object_set_new(status, "workers", workers);
	json_object_set_new(status, "spool", spool_json(edge));
	json_object_set_new(status, "tcp", tcp_json(edge));
	json_object_set_new(status, "tls", tls_memory_json(edge));
	json_object_set_new(status, "log", log);
	return status;
}

// --- text ---

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "-";
}

static long long number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void print_certificate(FILE *out, const json_t *tls)
{
	if (tls != NULL && strcmp(text_of(tls, "certificate"), "good") != 0)
		fprintf(out, "%-16s WARNING: its certificate %s (%s)\n", "",
			text_of(tls, "certificate"), text_of(tls, "expires"));
}

static void print_vservers(FILE *out, const json_t *status)
{
	const char *name;
	json_t *v;

	fprintf(out, "%-16s %-9s %8s %10s %8s %9s %9s %9s %9s  %s\n", "VSERVER", "STATE", "OPEN",
		"CONNECTS", "REFUSED", "ACCEPTED", "RELAYED", "DENIED", "MESSAGES", "FQDN");
	json_object_foreach(json_object_get(status, "vservers"), name, v)
	{
		fprintf(out, "%-16s %-9s %8lld %10lld %8lld %9lld %9lld %9lld %9lld  %s\n", name,
			text_of(v, "state"), number_of(v, "open"), number_of(v, "connections"),
			number_of(v, "refused_connect"), number_of(v, "rcpt_accepted"),
			number_of(v, "rcpt_relayed"), number_of(v, "rcpt_refused"),
			number_of(v, "messages"), text_of(v, "fqdn"));
		if (json_object_get(v, "open_relay") != NULL)
			fprintf(out, "%-16s open_relay: i-understand\n", "");
		if (json_object_get(v, "risk") != NULL)
			fprintf(out, "%-16s %s\n", "", text_of(v, "risk"));
		print_certificate(out, json_object_get(v, "tls"));
	}
}

static void print_workers(FILE *out, const json_t *status)
{
	size_t i;
	json_t *w;

	fprintf(out, "\n%-8s %12s %12s %12s %10s %10s %12s\n", "LCORE", "RECEIVED", "SENT",
		"HANDLED", "DROPPED", "STEERED", "CONNECTIONS");
	json_array_foreach(json_object_get(status, "workers"), i, w) fprintf(out,
		"%-8lld %12lld %12lld %12lld %10lld %10lld %12lld\n", number_of(w, "lcore"),
		number_of(w, "rx_packets"), number_of(w, "tx_packets"), number_of(w, "handled"),
		number_of(w, "dropped"), number_of(w, "steered_out"), number_of(w, "connections"));
}

static void print_drops(FILE *out, const json_t *status)
{
	for (int d = 0; d < DROP_COUNT; d++) {
		long long count =
			number_of(json_object_get(status, "drops"), drop_name((enum drop)d));

		if (count != 0)
			fprintf(out, "dropped  %12lld  %s\n", count, drop_text((enum drop)d));
	}
}

static void print_totals(FILE *out, const json_t *status)
{
	const json_t *packets = json_object_get(status, "packets");
	const json_t *spool = json_object_get(status, "spool"),
		     *tcp = json_object_get(status, "tcp");

	fprintf(out, "\npackets  received %lld = handled %lld + dropped %lld",
		number_of(packets, "received"), number_of(packets, "handled"),
		number_of(packets, "dropped"));
	if (number_of(packets, "unaccounted") != 0)
		fprintf(out, " + under way %lld", number_of(packets, "unaccounted"));
	fprintf(out, "\n");
	print_drops(out, status);
	fprintf(out,
		"tcp      open %lld, opened %lld, retransmits %lld, resets in %lld, out %lld\n",
		number_of(tcp, "open"), number_of(tcp, "opened"), number_of(tcp, "retransmits"),
		number_of(tcp, "resets_in"), number_of(tcp, "resets_out"));
	fprintf(out, "spool    %s, committed %lld in %lld syncs, errors %lld\n",
		json_is_true(json_object_get(spool, "accepting")) ? "accepting" : "NOT ACCEPTING",
		number_of(spool, "committed"), number_of(spool, "syncs"),
		number_of(spool, "errors"));
}

char *status_vservers_text(const json_t *status)
{
	char *text = NULL;
	size_t octets;
	FILE *out = open_memstream(&text, &octets);

	if (out == NULL)
		return NULL;
	print_vservers(out, status);
	fclose(out);
	return text;
}

char *status_text(const json_t *status)
{
	const json_t *log = json_object_get(status, "log");
	char *text = NULL;
	size_t octets;
	FILE *out = open_memstream(&text, &octets);

	if (out == NULL)
		return NULL;
	fprintf(out,
		"Postern %s, up %lld s, policy epoch %lld, %s, steering in %s (isolation of "
		"virtual servers is %s)\n",
		text_of(status, "version"), number_of(status, "uptime_s"),
		number_of(status, "epoch"),
		json_is_true(json_object_get(status, "huge_pages")) ? "huge pages" : "plain pages",
		text_of(status, "steering"), text_of(status, "isolation"));
	fprintf(out, "configuration %s, postern-deliver %s%s\n\n", text_of(status, "configuration"),
		text_of(status, "deliver"),
		json_is_true(json_object_get(status, "draining")) ? ", draining" : "");
	print_vservers(out, status);
	print_workers(out, status);
	status_ports_print(out, status);
	print_totals(out, status);
	fprintf(out, "log      written %lld, lost %lld before a file and %lld at one\n",
		number_of(log, "written"), number_of(log, "lost_in_rings"),
		number_of(log, "lost_in_files"));
	fclose(out);
	return text;
}
