#include "load_html.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	WIDTH = 900,
	HEIGHT = 240,
	LEFT = 70,
	BOTTOM = 30,
	PERCENTS = 200,
};

struct axis {
	double least, most;
};

static double x_of(double part)
{
	return LEFT + part * (WIDTH - LEFT);
}

static double y_of(struct axis axis, double value)
{
	const double span = axis.most > axis.least ? axis.most - axis.least : 1;

	return (HEIGHT - BOTTOM) * (1 - (value - axis.least) / span);
}

static void begin_plot(FILE *f, const char *title, struct axis axis, const char *unit)
{
	fprintf(f, "<h2>%s</h2><svg viewBox='0 -10 %d %d' width='%d' role='img'>", title, WIDTH,
		HEIGHT + 10, WIDTH);
	for (int i = 0; i <= 4; i++) {
		const double value = axis.least + (axis.most - axis.least) * i / 4,
			     y = y_of(axis, value);

		fprintf(f, "<line x1='%d' x2='%d' y1='%.1f' y2='%.1f' stroke='#ddd'/>", LEFT, WIDTH,
			y, y);
		fprintf(f, "<text x='%d' y='%.1f' text-anchor='end' font-size='11'>%.0f %s</text>",
			LEFT - 5, y + 4, value, unit);
	}
}

static void plot_seconds(FILE *f, const struct load_tell *tell)
{
	struct axis axis = {0, 1};

	if (tell->second_count < 2)
		return;
	for (uint32_t i = 0; i < tell->second_count; i++) {
		const struct load_second *s = &tell->seconds[i];
		const double rate = (double)(s->mails > s->sessions ? s->mails : s->sessions);

		axis.most = rate > axis.most ? rate : axis.most;
		axis.most = (double)s->refused > axis.most ? (double)s->refused : axis.most;
	}
	begin_plot(f, "Rates: mails (blue), sessions (green), refused (red)", axis, "/s");
	for (int line = 0; line < 3; line++) {
		static const char *const colours[] = {"#1f5fbf", "#2a8f4a", "#c0392b"};

		fprintf(f, "<polyline fill='none' stroke='%s' stroke-width='2' points='",
			colours[line]);
		for (uint32_t i = 0; i < tell->second_count; i++) {
			const struct load_second *s = &tell->seconds[i];
			const uint64_t v[] = {s->mails, s->sessions, s->refused};

			fprintf(f, "%.1f,%.1f ", x_of((double)i / (tell->second_count - 1)),
				y_of(axis, (double)v[line]));
		}
		fputs("'/>", f);
	}
	fprintf(f,
		"<text x='%d' y='%d' font-size='11'>0 s</text><text x='%d' y='%d' font-size='11' "
		"text-anchor='end'>%u s</text></svg>\n",
		LEFT, HEIGHT - 10, WIDTH, HEIGHT - 10, tell->second_count);
}

static void plot_phase(FILE *f, const char *name, const struct load_histogram *h)
{
	const struct axis axis = {0, (double)load_histogram_at(h, 0.999) / 1000};
	char title[64];

	if (h->count == 0)
		return;
	snprintf(title, sizeof(title), "Latency: %s", name);
	begin_plot(f, title, axis, "us");
	fputs("<polyline fill='none' stroke='#1f5fbf' stroke-width='2' points='", f);
	for (int i = 1; i < PERCENTS; i++)
		fprintf(f, "%.1f,%.1f ", x_of((double)i / PERCENTS),
			y_of(axis, (double)load_histogram_at(h, (double)i / PERCENTS) / 1000));
	fprintf(f,
		"'/><text x='%d' y='%d' font-size='11'>p0</text><text x='%d' y='%d' font-size='11' "
		"text-anchor='end'>p99.5</text></svg>\n",
		LEFT, HEIGHT - 10, WIDTH, HEIGHT - 10);
}

bool load_html_write(const struct load_tell *tell, const json_t *result, const char *path)
{
	char *text = json_dumps(result, JSON_INDENT(1));
	FILE *f = fopen(path, "we");

	if (f == NULL || text == NULL) {
		perror(path);
		free(text);
		return false;
	}
	fputs("<!doctype html><meta charset='utf-8'><title>postern-load</title>"
	      "<style>body{font:15px sans-serif;max-width:960px;margin:2em "
	      "auto}pre{background:#f6f6f6;padding:1em}</style>"
	      "<h1>postern-load</h1>\n",
		f);
	plot_seconds(f, tell);
	for (unsigned i = 0; i < LOAD_PHASE_COUNT; i++)
		plot_phase(f, load_session_phase((enum load_phase)i), &tell->result.phases[i]);
	fprintf(f, "<h2>Figures</h2><pre>%s</pre>\n", text); // our own keys and numbers only
	free(text);
	if (fclose(f) != 0) {
		perror(path);
		return false;
	}
	return true;
}
