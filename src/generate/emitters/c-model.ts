/** The forms of the C program's tables. */
export const C_FORMS = `enum call {
	CALL_SET, CALL_GET, CALL_RESET, CALL_REOPEN, CALL_READ, CALL_WRITE, CALL_PRECOPY_INFO, CALL_CLOSE,
	CALL_DATA_SIZE, CALL_PRECOPY_INFO_V2, CALL_READ_REGION, CALL_LOG_START, CALL_LOG_STOP, CALL_LOG_REPORT,
	CALL_SCENARIO, CALLS
};

/* One call, and the outcomes that the uAPI allows, with spaces between. */
struct step {
	enum call call;
	int at; /* state of the device before the step, if it is as the model is */
	const char *expect;
	const char *rule; /* what another outcome breaks */
	const char *asked; /* set: the state as a word; scenario: its name */
	uint64_t number; /* set: the state; read_region: the region; log_start: how many ranges */
	unsigned int fd; /* which data_fd of the case, from 0 */
	uint64_t size, offset, page_size; /* log_report: length and IOVA of the range */
	const struct vfio_device_feature_dma_logging_range *ranges;
	/* write: a part of the image, or of what was read from the data_fd "of"; from the end if below zero */
	int of;
	int64_t from, to, flip_at;
	uint64_t extra, piece; /* piece 0: all at once */
	unsigned char flip_mask; /* 0: nothing is changed */
	bool to_last, to_end;
};

struct test_case {
	const char *id;
	const char *title;
	const struct step *steps;
	size_t count;
};`;

/** `CaseModel` of src/suite/model.ts in C: what the uAPI allows for a step in any situation. */
export const C_MODEL = String.raw`/*
 * What the uAPI allows next. Expectations stand in the suite for the way that a case was made for; a device
 * may take another that is allowed too, and from there on this model says what to expect.
 */

struct fd_model {
	bool known, load, alive, closed, ended, spoiled;
	uint64_t written; /* bytes of the image from its beginning, without a gap */
};

enum logging { LOGS_NOT, LOGS, LOGS_PERHAPS };

struct model {
	int state;
	enum logging logging;
	size_t count;
	struct fd_model fds[MAX_FDS];
};

static unsigned char *image;
static size_t image_size;
static bool has_image;

static bool is_in(int state, unsigned int states)
{
	return state >= 0 && ((states >> state) & 1U) != 0;
}

static bool is_on_fd(enum call call)
{
	return call == CALL_READ || call == CALL_WRITE || call == CALL_PRECOPY_INFO || call == CALL_CLOSE;
}

static bool is_log(enum call call)
{
	return call == CALL_LOG_START || call == CALL_LOG_STOP || call == CALL_LOG_REPORT;
}

static struct fd_model *session_of(struct model *model)
{
	for (size_t i = model->count; i > 0; i--)
		if (model->fds[i - 1].alive)
			return &model->fds[i - 1];
	return NULL;
}

static struct fd_model *fd_of(struct model *model, const struct step *step)
{
	if (step->call == CALL_SET)
		return session_of(model);
	if (!is_on_fd(step->call) || step->fd >= model->count || !model->fds[step->fd].known)
		return NULL;
	return &model->fds[step->fd];
}

/* Whether a write has the bytes of a whole stream: a save of this case was read to its permanent end. */
static bool is_whole(const struct model *model, const struct step *step)
{
	return step->of < 0 || ((size_t)step->of < model->count && model->fds[step->of].ended);
}

/* Whether all that the outcome of a step depends on is the same. */
static bool same_situation(struct model *one, struct model *other, const struct step *step)
{
	const struct fd_model *a = fd_of(one, step), *b = fd_of(other, step);

	if (one->state != other->state || (a == NULL) != (b == NULL))
		return false;
	if (is_log(step->call) && one->logging != other->logging)
		return false;
	if (step->call == CALL_WRITE && is_whole(one, step) != is_whole(other, step))
		return false;
	return a == NULL || (a->load == b->load && a->alive == b->alive && a->closed == b->closed &&
			     a->ended == b->ended && a->spoiled == b->spoiled && a->written == b->written);
}

static size_t place(int64_t at, size_t length)
{
	int64_t whole = (int64_t)length;
	int64_t from_start = at < 0 ? whole + at : at;

	return from_start < 0 ? 0 : from_start > whole ? length : (size_t)from_start;
}

/* Which bytes of an image of this length a write takes. */
static void data_range(const struct step *step, size_t length, size_t *from, size_t *to)
{
	*from = place(step->from, length);
	*to = step->to_last ? length : place(step->to, length);
	if (*to < *from)
		*to = *from;
}

/* Whether these bytes of the image come next. */
static bool writes_on(const struct model *model, const struct step *step, const struct fd_model *fd)
{
	size_t from, to;

	if (!has_image || step->flip_mask != 0 || step->extra > 0 || !is_whole(model, step))
		return false;
	data_range(step, image_size, &from, &to);
	return !fd->spoiled && from == fd->written;
}

/* Text of bounded length that grows at its end. */
struct text {
	char chars[512];
	size_t length;
};

__attribute__((format(printf, 2, 3)))
static void add(struct text *text, const char *format, ...)
{
	va_list arguments;
	int count;

	va_start(arguments, format);
	count = vsnprintf(text->chars + text->length, sizeof text->chars - text->length, format, arguments);
	va_end(arguments);
	if (count > 0)
		text->length += (size_t)count;
	if (text->length >= sizeof text->chars)
		text->length = sizeof text->chars - 1;
}

/* Whether one of the words is this label. */
static bool has_label(const char *words, const char *label)
{
	size_t length = strlen(label);

	for (const char *at = strstr(words, label); at != NULL; at = strstr(at + 1, label))
		if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
			return true;
	return false;
}

static void add_failures(int from, int to, unsigned int states, struct text *out)
{
	for (int at = 0; at < STATES; at++)
		if (is_in(at, fails_in[from][to] & states))
			add(out, "FAIL.%s.%s ", state_names[to], state_names[at]);
}

/* What may come of a request that leaves RESUMING. Where the load fails no later arc is walked. */
static void allow_load(struct model *model, int to, const char *done, struct text *out)
{
	const unsigned int places = 1U << VFIO_DEVICE_STATE_RESUMING | 1U << VFIO_DEVICE_STATE_ERROR;
	const struct fd_model *session = session_of(model);
	bool is_pure = session != NULL && !session->spoiled && has_image;

	if (is_pure && session->written == image_size) {
		add(out, "%s", done);
		return;
	}
	add_failures(model->state, to, places, out);
	/* A device whose state is empty needs no data; whether other data is a state only the driver knows. */
	if (!is_pure || session->written == 0)
		add(out, "%s", done);
}

static void allow_set(struct model *model, const struct step *step, struct text *out)
{
	int from = model->state, to = (int)step->number;
	struct text done = { .length = 0 };

	if (step->number >= STATES) {
		add(out, "FAIL.%s.%s", step->asked, state_names[from]);
		return;
	}
	add(&done, "SET.%s%s ", state_names[to], gives_fd[from][to] ? ".data_fd" : "");
	if (path_length[from][to] >= 0 && from == VFIO_DEVICE_STATE_RESUMING && to != from) {
		allow_load(model, to, done.chars, out);
		return;
	}
	if (path_length[from][to] >= 0)
		add(out, "%s", done.chars);
	/* Of a request for the present state the core says that it succeeds; no text of the uAPI does. */
	if (path_length[from][to] <= 0)
		add_failures(from, to, ~0U, out);
}

static void allow_on_fd(const struct model *model, const struct step *step, const struct fd_model *fd,
			struct text *out)
{
	bool open = fd->alive && !fd->closed;
	bool in_pre_copy = is_in(model->state, IN_PRE_COPY);

	switch (step->call) {
	case CALL_READ:
		if (!open || fd->load)
			add(out, "READ.error");
		else if (in_pre_copy)
			add(out, "READ.ENOMSG READ.data");
		else
			add(out, fd->ended || step->to_end ? "READ.end" : "READ.data READ.end");
		break;
	case CALL_WRITE:
		if (!open || !fd->load)
			add(out, "WRITE.error");
		else
			add(out, writes_on(model, step, fd) ? "WRITE.ok" : "WRITE.ok WRITE.error");
		break;
	case CALL_PRECOPY_INFO:
		if (!open || fd->load)
			add(out, "PRECOPY_INFO.refused PRECOPY_INFO.error");
		else
			add(out, in_pre_copy ? "PRECOPY_INFO.ok" : "PRECOPY_INFO.refused PRECOPY_INFO.error");
		break;
	default:
		add(out, fd->closed ? "CLOSE.error" : "CLOSE.ok");
	}
}

/* A call with wrong arguments fails whether the device logs or not; one with right ones goes by that. */
static void allow_log(const struct step *step, bool right, bool is_known, const char *name, struct text *out)
{
	struct text success = { .length = 0 };

	add(&success, "%s.ok", name);
	if (is_known && !right)
		add(out, "%s.error", name);
	else if (is_known && has_label(step->expect, success.chars))
		add(out, "%s", success.chars);
	else
		add(out, "%s %s.error", success.chars, name);
}

/* The outcomes that the uAPI allows for a step; false: the case has no such fd. */
static bool allowed(struct model *model, const struct step *step, struct text *out)
{
	const struct fd_model *fd = fd_of(model, step);
	bool is_known = model->logging != LOGS_PERHAPS;

	if (is_on_fd(step->call)) {
		if (fd != NULL)
			allow_on_fd(model, step, fd, out);
		return fd != NULL;
	}
	if (step->call == CALL_SET)
		allow_set(model, step, out);
	else if (step->call == CALL_GET)
		add(out, "GET.%s", state_names[model->state]);
	else if (step->call == CALL_RESET)
		add(out, "RESET.ok");
	else if (step->call == CALL_REOPEN)
		add(out, "OPEN.RUNNING");
	else if (step->call == CALL_DATA_SIZE)
		add(out, "DATA_SIZE.ok%s", model->state == VFIO_DEVICE_STATE_ERROR ? " DATA_SIZE.error" : "");
	else if (step->call == CALL_LOG_START)
		allow_log(step, model->logging == LOGS_NOT, is_known, "START", out);
	else if (step->call == CALL_LOG_REPORT)
		allow_log(step, model->logging == LOGS, is_known, "REPORT", out);
	else if (step->call == CALL_LOG_STOP)
		add(out, "STOP.ok%s", model->logging == LOGS ? "" : " STOP.error");
	else
		add(out, "%s", step->expect);
	return true;
}

static void end_session(struct model *model)
{
	for (size_t i = 0; i < model->count; i++)
		model->fds[i].alive = false;
}

static void push_unknown(struct model *model)
{
	if (model->count < MAX_FDS)
		model->fds[model->count++] = (struct fd_model){ .known = false };
}

static void arrive(struct model *model, int state, bool with_fd)
{
	bool stays = state == model->state || (is_in(state, SAVING_GROUP) && is_in(model->state, SAVING_GROUP));

	if (with_fd || !stays || !is_in(state, HAS_SESSION))
		end_session(model);
	model->state = state;
	if (with_fd && model->count < MAX_FDS)
		model->fds[model->count++] = (struct fd_model){
			.known = true, .alive = true, .load = state == VFIO_DEVICE_STATE_RESUMING };
}

static void restart(struct model *model, int state)
{
	end_session(model);
	model->state = state;
	/* Whether logging goes on after a reset is the driver's choice. */
	if (model->logging == LOGS)
		model->logging = LOGS_PERHAPS;
}

/* The state with this name, of so many characters; otherwise the given one. */
static int state_named(const char *name, size_t length, int otherwise)
{
	for (int i = 0; i < STATES; i++)
		if (strlen(state_names[i]) == length && strncmp(state_names[i], name, length) == 0)
			return i;
	return otherwise;
}

static void take_on_fd(struct model *model, const struct step *step, const char *label)
{
	struct fd_model *fd = fd_of(model, step);
	size_t from, to;

	if (fd == NULL)
		return;
	if (strcmp(label, "READ.end") == 0 && model->state == VFIO_DEVICE_STATE_STOP_COPY)
		fd->ended = true;
	if (strcmp(label, "CLOSE.ok") == 0) {
		fd->closed = true;
		/* The uAPI does not say what becomes of data whose fd is closed before RESUMING is left. */
		fd->spoiled = fd->spoiled || fd->load;
	}
	if (step->call != CALL_WRITE || !fd->alive)
		return;
	if (strncmp(label, "WRITE.ok", 8) == 0 && writes_on(model, step, fd)) {
		data_range(step, image_size, &from, &to);
		fd->written = to;
	} else {
		fd->spoiled = true;
	}
}

/* Takes the outcome that a step had: the first word of the label. */
static void take(struct model *model, const struct step *step, const char *words)
{
	char label[128];
	const char *first, *second;

	snprintf(label, sizeof label, "%.*s", (int)strcspn(words, " "), words);
	first = strchr(label, '.');
	first = first == NULL ? "" : first + 1;
	second = strchr(first, '.');
	second = second == NULL ? "" : second + 1;
	if (strncmp(label, "SET.", 4) == 0)
		arrive(model, state_named(first, strcspn(first, "."), model->state), strcmp(second, "data_fd") == 0);
	else if (strncmp(label, "FAIL.", 5) == 0)
		arrive(model, state_named(second, strlen(second), model->state), false);
	else if (strncmp(label, "GET.", 4) == 0)
		arrive(model, state_named(first, strlen(first), model->state), false);
	else if (strcmp(label, "RESET.ok") == 0)
		restart(model, VFIO_DEVICE_STATE_RUNNING);
	else if (strncmp(label, "OPEN.", 5) == 0)
		restart(model, state_named(first, strlen(first), model->state));
	else if (strcmp(label, "START.ok") == 0)
		model->logging = LOGS;
	else if (strcmp(label, "STOP.ok") == 0)
		model->logging = LOGS_NOT;
	else if (is_on_fd(step->call))
		take_on_fd(model, step, label);
}

/* The state that an outcome tells, or -1. */
static int state_after(const char *words)
{
	size_t length = strcspn(words, " "), head = strcspn(words, ".");
	const char *name = words + head + 1, *end = words + length;
	bool is_fail = strncmp(words, "FAIL.", 5) == 0;

	if (length == 8 && strncmp(words, "RESET.ok", 8) == 0)
		return VFIO_DEVICE_STATE_RUNNING;
	if (!is_fail && strncmp(words, "SET.", 4) != 0 && strncmp(words, "GET.", 4) != 0 &&
	    strncmp(words, "OPEN.", 5) != 0)
		return -1;
	if (is_fail)
		name += strcspn(name, ".") + 1;
	if (name > end)
		return -1;
	return state_named(name, strcspn(name, ". "), -1);
}

/* The first of the outcomes that leaves the device in the state of the next step; otherwise the first. */
static const char *likeliest(const struct step *step, const struct step *next)
{
	const char *words = step->expect;

	while (next != NULL && *words != '\0') {
		if (state_after(words) == next->at)
			return words;
		words += strcspn(words, " ");
		words += strspn(words, " ");
	}
	return step->expect;
}`;
