/** How the C program executes a step: as `perform` of src/run/outcome.ts does, with the same labels. */
export const C_STEPS = `/* Steps. */

#define MOST_READS (1U << 20)

static uint64_t max_bytes = 64U << 20;

/* A data_fd of the case. After a close its number is -1, so that what is done to it gives EBADF. */
struct handle {
	bool is_there;
	int number;
	unsigned char *bytes; /* what was read from it, if a step writes that */
	size_t size;
};

static struct handle handles[MAX_FDS];
static size_t handle_count;
static bool started_logging, keeps_reads;

struct outcome {
	char label[96];
	int error;
};

static void set_label(struct outcome *outcome, const char *ok, const char *failed)
{
	snprintf(outcome->label, sizeof outcome->label, "%s", outcome->error == 0 ? ok : failed);
}

static void drop_handles(void)
{
	for (size_t i = 0; i < handle_count; i++) {
		if (handles[i].is_there && handles[i].number >= 0)
			sys_close(handles[i].number);
		free(handles[i].bytes);
		handles[i] = (struct handle){ .number = -1 };
	}
}

static void push_handle(bool is_there, int number)
{
	if (handle_count < MAX_FDS)
		handles[handle_count++] = (struct handle){ .is_there = is_there, .number = number };
}

static void do_set(const struct step *step, struct outcome *outcome)
{
	int data_fd, state;

	outcome->error = set_state((uint32_t)step->number, &data_fd);
	if (outcome->error == 0) {
		if (data_fd >= 0)
			push_handle(true, data_fd);
		snprintf(outcome->label, sizeof outcome->label, "SET.%s%s", step->asked,
			 data_fd >= 0 ? ".data_fd" : "");
		return;
	}
	snprintf(outcome->label, sizeof outcome->label, "FAIL.%s.%s", step->asked,
		 get_state(&state) == 0 ? state_names[state] : "?");
}

static void do_get(struct outcome *outcome, const char *prefix)
{
	int state;

	outcome->error = get_state(&state);
	snprintf(outcome->label, sizeof outcome->label, "%s.%s", prefix,
		 outcome->error == 0 ? state_names[state] : "error");
}

static void do_reopen(struct outcome *outcome)
{
	drop_handles();
	close_device();
	outcome->error = open_device();
	if (outcome->error == 0)
		do_get(outcome, "OPEN");
	else
		snprintf(outcome->label, sizeof outcome->label, "broken");
}

/* Keeps what was read, up to the bound that reads have. */
static void keep(struct handle *handle, const unsigned char *bytes, size_t count)
{
	if (!keeps_reads || handle->size + count > max_bytes)
		return;
	handle->bytes = need_memory(realloc(handle->bytes, handle->size + count));
	memcpy(handle->bytes + handle->size, bytes, count);
	handle->size += count;
}

static void do_read(const struct step *step, struct handle *handle, struct outcome *outcome)
{
	unsigned char *into = need_memory(malloc(step->size));
	uint64_t total = 0;
	int count;

	snprintf(outcome->label, sizeof outcome->label, "READ.endless");
	for (uint32_t reads = 0; reads < MOST_READS && total <= max_bytes; reads++) {
		outcome->error = sys_read(handle->number, into, step->size, -1, &count);
		if (outcome->error != 0 || count <= 0) {
			set_label(outcome, "READ.end", outcome->error == ENOMSG ? "READ.ENOMSG" : "READ.error");
			break;
		}
		total += (uint64_t)count;
		keep(handle, into, (size_t)count);
		if (!step->to_end) {
			set_label(outcome, "READ.data", "");
			break;
		}
	}
	free(into);
}

static int write_all(int fd, const unsigned char *bytes, size_t size, size_t piece)
{
	size_t at = 0;
	int error, count;

	do {
		size_t part = size - at < piece ? size - at : piece;

		error = sys_write(fd, bytes + at, part, &count);
		if (error != 0)
			return error;
		if (count <= 0 && part > 0)
			return EIO;
		at += (size_t)count;
	} while (at < size);
	return 0;
}

static void do_write(const struct step *step, const struct handle *handle, struct outcome *outcome)
{
	bool is_own = step->of >= 0 && (size_t)step->of < handle_count;
	const unsigned char *source = is_own ? handles[step->of].bytes : image;
	size_t length = is_own ? handles[step->of].size : image_size;
	size_t from, to, size;
	unsigned char *bytes;

	data_range(step, length, &from, &to);
	size = to - from + step->extra;
	bytes = need_memory(calloc(size + 1, 1));
	if (to > from)
		memcpy(bytes, source + from, to - from);
	if (step->flip_mask != 0) {
		int64_t at = step->flip_at < 0 ? (int64_t)(to - from) + step->flip_at : step->flip_at;

		if (at >= 0 && at < (int64_t)(to - from))
			bytes[at] ^= step->flip_mask;
	}
	outcome->error = write_all(handle->number, bytes, size, step->piece > 0 ? step->piece : SIZE_MAX);
	set_label(outcome, "WRITE.ok", "WRITE.error");
	free(bytes);
}

static void do_precopy_info(const struct handle *handle, struct outcome *outcome)
{
	struct vfio_precopy_info info = { .argsz = sizeof info };

	outcome->error = sys_ioctl(handle->number, VFIO_MIG_GET_PRECOPY_INFO, &info, NULL);
	set_label(outcome, "PRECOPY_INFO.ok",
		  outcome->error == EINVAL || outcome->error == ENOTTY ? "PRECOPY_INFO.refused"
								      : "PRECOPY_INFO.error");
}

static void do_close(struct handle *handle, struct outcome *outcome)
{
	int number = handle->number;

	handle->number = -1;
	outcome->error = sys_close(number);
	set_label(outcome, "CLOSE.ok", "CLOSE.error");
}

static void do_data_size(struct outcome *outcome)
{
	struct vfio_device_feature_mig_data_size size = { 0 };

	outcome->error = feature(device, GET_OF(MIG_DATA_SIZE), &size, sizeof size);
	set_label(outcome, "DATA_SIZE.ok", "DATA_SIZE.error");
}

static void do_read_region(const struct step *step, struct outcome *outcome)
{
	outcome->error = read_region((uint32_t)step->number, step->offset, step->size);
	set_label(outcome, "REGION.ok", "REGION.error");
}

static void do_log_start(const struct step *step, struct outcome *outcome)
{
	struct vfio_device_feature_dma_logging_control control = {
		.page_size = step->page_size,
		.num_ranges = (uint32_t)step->number,
		.ranges = (uint64_t)(uintptr_t)step->ranges,
	};

	outcome->error = feature(device, SET_OF(DMA_LOGGING_START), &control, sizeof control);
	started_logging = true;
	set_label(outcome, "START.ok", "START.error");
}

static void do_log_stop(struct outcome *outcome)
{
	outcome->error = feature(device, SET_OF(DMA_LOGGING_STOP), NULL, 0);
	set_label(outcome, "STOP.ok", "STOP.error");
}

static void do_log_report(const struct step *step, struct outcome *outcome)
{
	struct vfio_device_feature_dma_logging_report report = {
		.iova = step->offset, .length = step->size, .page_size = step->page_size };
	/* What the kernel refuses before it touches the memory needs a word only. */
	uint64_t pages = step->page_size > 0 && step->size <= UINT64_MAX - step->offset
				 ? step->size / step->page_size + 1 : 1;
	void *bitmap = pages > (uint64_t)1 << 32 ? NULL : calloc(pages / 64 + 1, 8);

	report.bitmap = (uint64_t)(uintptr_t)bitmap;
	outcome->error = feature(device, GET_OF(DMA_LOGGING_REPORT), &report, sizeof report);
	set_label(outcome, "REPORT.ok", "REPORT.error");
	free(bitmap);
}

static void perform(const struct step *step, struct outcome *outcome)
{
	struct handle *handle = is_on_fd(step->call) ? &handles[step->fd] : NULL;

	outcome->error = 0;
	switch (step->call) {
	case CALL_SET:
		do_set(step, outcome);
		break;
	case CALL_GET:
		do_get(outcome, "GET");
		break;
	case CALL_RESET:
		outcome->error = sys_ioctl(device, VFIO_DEVICE_RESET, NULL, NULL);
		set_label(outcome, "RESET.ok", "RESET.error");
		break;
	case CALL_REOPEN:
		do_reopen(outcome);
		break;
	case CALL_READ:
		do_read(step, handle, outcome);
		break;
	case CALL_WRITE:
		do_write(step, handle, outcome);
		break;
	case CALL_PRECOPY_INFO:
		do_precopy_info(handle, outcome);
		break;
	case CALL_CLOSE:
		do_close(handle, outcome);
		break;
	case CALL_DATA_SIZE:
		do_data_size(outcome);
		break;
	case CALL_PRECOPY_INFO_V2:
		outcome->error = feature(device, SET_OF(MIG_PRECOPY_INFOv2), NULL, 0);
		set_label(outcome, "OPT_IN.ok", "OPT_IN.error");
		break;
	case CALL_READ_REGION:
		do_read_region(step, outcome);
		break;
	case CALL_LOG_START:
		do_log_start(step, outcome);
		break;
	case CALL_LOG_STOP:
		do_log_stop(outcome);
		break;
	case CALL_LOG_REPORT:
		do_log_report(step, outcome);
		break;
	case CALL_SCENARIO:
	case CALLS:
		snprintf(outcome->label, sizeof outcome->label, "broken");
		break;
	}
}

/* Brings the device to RUNNING with no session: by a reset, else by close and open, else by requests. */

static void by_reset(void)
{
	if (has_reset)
		(void)sys_ioctl(device, VFIO_DEVICE_RESET, NULL, NULL);
}

static void by_reopen(void)
{
	drop_handles();
	close_device();
	(void)open_device();
}

static void by_request(void)
{
	int state, data_fd;

	/* RESUMING is left by a whole image only. */
	if (get_state(&state) == 0 && state == VFIO_DEVICE_STATE_RESUMING && has_image)
		for (size_t i = 0; i < handle_count; i++)
			if (handles[i].is_there)
				(void)write_all(handles[i].number, image, image_size, SIZE_MAX);
	(void)set_state(VFIO_DEVICE_STATE_RUNNING, &data_fd);
	if (data_fd >= 0)
		sys_close(data_fd);
}

static bool go_home(void)
{
	static void (*const ways[])(void) = { by_reset, by_reopen, by_request };
	int state;

	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		ways[i]();
		if (get_state(&state) != 0 || state != VFIO_DEVICE_STATE_RUNNING)
			continue;
		drop_handles();
		handle_count = 0;
		if (started_logging && has_dma_logging)
			(void)feature(device, SET_OF(DMA_LOGGING_STOP), NULL, 0);
		started_logging = false;
		return true;
	}
	return false;
}`;
