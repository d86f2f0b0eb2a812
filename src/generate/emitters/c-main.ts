/** The C program's cases, report and command line. */
export const C_MAIN = String.raw`/* Cases. */

static const char *const call_names[CALLS] = {
	[CALL_SET] = "set", [CALL_GET] = "get", [CALL_RESET] = "reset", [CALL_REOPEN] = "reopen",
	[CALL_READ] = "read", [CALL_WRITE] = "write", [CALL_PRECOPY_INFO] = "precopy_info",
	[CALL_CLOSE] = "close", [CALL_DATA_SIZE] = "data_size", [CALL_PRECOPY_INFO_V2] = "precopy_info_v2",
	[CALL_READ_REGION] = "read_region", [CALL_LOG_START] = "log_start", [CALL_LOG_STOP] = "log_stop",
	[CALL_LOG_REPORT] = "log_report", [CALL_SCENARIO] = "scenario",
};

/* Why a case cannot run, or NULL. */
static const char *reason_to_skip(const struct test_case *test)
{
	for (size_t i = 0; i < test->count; i++) {
		switch (test->steps[i].call) {
		case CALL_RESET:
			if (!has_reset)
				return "the target has no reset";
			break;
		case CALL_READ_REGION:
			if (!has_region)
				return "the target has no read_region";
			break;
		case CALL_DATA_SIZE:
			if (!has_data_size)
				return "the target has no data_size";
			break;
		case CALL_PRECOPY_INFO_V2:
			if (!has_precopy_info_v2)
				return "the target has no precopy_info_v2";
			break;
		case CALL_LOG_START:
		case CALL_LOG_STOP:
		case CALL_LOG_REPORT:
			if (!has_dma_logging)
				return "the target has no dma_logging";
			break;
		case CALL_WRITE:
			if (!has_image)
				return "the device's own stream could not be read";
			break;
		case CALL_SCENARIO:
			return "the target has no guest to migrate";
		default:
			break;
		}
	}
	return NULL;
}

static const char *error_name(int error)
{
	static const struct { int number; const char *name; } names[] = {
		{ EPERM, "EPERM" }, { ENOENT, "ENOENT" }, { EINTR, "EINTR" }, { EIO, "EIO" }, { ENXIO, "ENXIO" },
		{ E2BIG, "E2BIG" }, { EBADF, "EBADF" }, { EAGAIN, "EAGAIN" }, { ENOMEM, "ENOMEM" },
		{ EACCES, "EACCES" }, { EFAULT, "EFAULT" }, { EBUSY, "EBUSY" }, { ENODEV, "ENODEV" },
		{ EINVAL, "EINVAL" }, { ENOTTY, "ENOTTY" }, { ENOSPC, "ENOSPC" }, { EPIPE, "EPIPE" },
		{ ENOMSG, "ENOMSG" }, { EPROTO, "EPROTO" }, { EOVERFLOW, "EOVERFLOW" },
		{ EOPNOTSUPP, "EOPNOTSUPP" }, { ETIMEDOUT, "ETIMEDOUT" },
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (names[i].number == error)
			return names[i].name;
	return strerror(error);
}

static void tell_failure(size_t index, const struct step *step, int state, const char *expected,
			 const struct outcome *outcome)
{
	printf("# step: %zu (%s%s%s, in %s)\n", index, call_names[step->call], step->asked == NULL ? "" : " ",
	       step->asked == NULL ? "" : step->asked, state_names[state]);
	printf("# expected: %s\n", expected);
	printf("# actual: %s%s%s\n", outcome->label, outcome->error == 0 ? "" : ", ",
	       outcome->error == 0 ? "" : error_name(outcome->error));
	printf("# rule: %s\n", step->rule);
}

static void expect_hang(size_t number, const struct test_case *test, size_t index)
{
	snprintf(hang_line, sizeof hang_line,
		 "# step: %zu (%s)\n# actual: no answer within %u s\n# rule: %s\nnot ok %zu %s\n"
		 "Bail out! the device does not answer\n",
		 index, call_names[test->steps[index].call], timeout_s, test->steps[index].rule, number, test->id);
}

/* Whether the uAPI allows what came. A read that goes on without end gave data, as far as that is allowed. */
static bool is_expected(const char *expected, const char *label)
{
	return has_label(expected, label) ||
	       (strcmp(label, "READ.endless") == 0 && has_label(expected, "READ.data"));
}

static bool run_case(size_t number, const struct test_case *test)
{
	/* Where the case is, and where it was made for. */
	static struct model now, plan;

	now.state = plan.state = VFIO_DEVICE_STATE_RUNNING;
	now.logging = plan.logging = LOGS_NOT;
	now.count = plan.count = 0;
	for (size_t i = 0; i < test->count; i++)
		keeps_reads = keeps_reads || (test->steps[i].call == CALL_WRITE && test->steps[i].of >= 0);
	for (size_t i = 0; i < test->count; i++) {
		const struct step *step = &test->steps[i];
		struct text expected = { .length = 0 };
		struct outcome outcome;
		int state = now.state;
		bool same, can;

		plan.state = step->at;
		while (now.count < plan.count)
			push_unknown(&now);
		while (handle_count < now.count)
			push_handle(false, -1);
		same = same_situation(&now, &plan, step);
		can = same || allowed(&now, step, &expected);
		take(&plan, step, likeliest(step, i + 1 < test->count ? step + 1 : NULL));
		if (is_on_fd(step->call))
			can = can && step->fd < handle_count && handles[step->fd].is_there;
		/* The device took another way, which is allowed too, and gave no such data_fd. */
		if (!can)
			continue;
		expect_hang(number, test, i);
		perform(step, &outcome);
		take(&now, step, outcome.label);
		if (!is_expected(same ? step->expect : expected.chars, outcome.label)) {
			tell_failure(i, step, state, same ? step->expect : expected.chars, &outcome);
			return false;
		}
	}
	return true;
}

static size_t passed, failed, skipped;

static void tell_end(size_t number, const struct test_case *test, bool ok)
{
	printf("%s %zu %s\n", ok ? "ok" : "not ok", number, test->id);
	passed += ok;
	failed += !ok;
}

/* Runs a case and brings the device back; false: that is not possible. */
static bool run_and_return(size_t number, const struct test_case *test)
{
	bool saves_image = test == &cases[0];
	bool ok, is_home;

	keeps_reads = saves_image;
	ok = run_case(number, test);
	if (saves_image && ok && handle_count > 0) {
		image = handles[0].bytes;
		image_size = handles[0].size;
		handles[0].bytes = NULL;
		has_image = true;
	}
	snprintf(hang_line, sizeof hang_line,
		 "not ok %zu %s\nBail out! the device does not answer on the way back to RUNNING\n", number, test->id);
	is_home = go_home();
	if (!is_home)
		printf("# the device does not come back to RUNNING\n# rule: %s\n",
		       has_reset ? "VFIO-RST-01" : "VFIO-FSM-14");
	tell_end(number, test, ok && is_home);
	return is_home;
}

static void tell_capabilities(void)
{
	printf("# the device has flags 0x%" PRIx64 "%s%s%s%s%s\n", device_flags,
	       has_reset ? ", reset" : "", has_region ? ", read_region" : "",
	       has_data_size ? ", data_size" : "", has_precopy_info_v2 ? ", precopy_info_v2" : "",
	       has_dma_logging ? ", dma_logging" : "");
}

/* The image is saved in any case: what is written later comes from it. */
static bool is_wanted(size_t i, const char *only)
{
	return i == 0 || only == NULL || strcmp(only, cases[i].id) == 0;
}

static size_t count_cases(const char *only)
{
	size_t count = 0;

	for (size_t i = 0; i < CASES; i++)
		count += is_wanted(i, only);
	return count;
}

static int run(const char *only)
{
	size_t number = 0;
	bool is_home = true;

	printf("1..%zu\n", count_cases(only));
	tell_capabilities();
	for (size_t i = 0; is_home && i < CASES; i++) {
		const char *reason;

		if (!is_wanted(i, only))
			continue;
		number++;
		reason = reason_to_skip(&cases[i]);
		if (reason == NULL) {
			is_home = run_and_return(number, &cases[i]);
			continue;
		}
		printf("ok %zu %s # SKIP %s\n", number, cases[i].id, reason);
		skipped++;
	}
	if (!is_home)
		printf("Bail out! the device does not come back to RUNNING\n");
	printf("# Totals: pass:%zu fail:%zu xfail:0 xpass:0 skip:%zu error:0\n", passed, failed, skipped);
	return failed > 0 ? 1 : 0;
}

/* The command line. */

static const char usage[] =
	"usage: %s [OPTION]... DEVICE [NAME]\n"
	"\n"
	"Runs a generated suite of migration tests on a VFIO device, and reports in TAP.\n"
	"\n"
	"  DEVICE          /dev/vfio/devices/vfioN, opened with iommufd;\n"
	"                  or the file of its group, /dev/vfio/N, and then\n"
	"  NAME            the device as its bus names it: 0000:3b:00.1, or the UUID of a mediated device\n"
	"  --only CASE     run this case only\n"
	"  --list          print the cases\n"
	"  --timeout S     longest time of one call in seconds (default 30)\n"
	"  --max-bytes N   most bytes that are read from one stream (default 67108864)\n"
	"  --help          print this\n"
	"\n"
	"The device must not be in use. It is reset, and loses its state.\n"
	"Exit status: 0 all passed, 1 failures, 2 bad usage or no access, 4 nothing to test.\n";

static int bad_usage(const char *program, const char *what, const char *which)
{
	fprintf(stderr, "%s: %s%s%s; see %s --help\n", program, what, which == NULL ? "" : ": ",
		which == NULL ? "" : which, program);
	return 2;
}

/* A decimal number above 0; false: it is none. */
static bool number_of(const char *text, uint64_t most, uint64_t *number)
{
	char *end;

	if (text == NULL || text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0' && *number > 0 && *number <= most;
}

static int list_cases(void)
{
	for (size_t i = 0; i < CASES; i++)
		printf("%s\t%zu steps\t%s\n", cases[i].id, cases[i].count, cases[i].title);
	return 0;
}

static bool has_case(const char *id)
{
	for (size_t i = 0; i < CASES; i++)
		if (strcmp(cases[i].id, id) == 0)
			return true;
	return false;
}

static int test_device(const char *only)
{
	const uint64_t optional = VFIO_MIGRATION_P2P | VFIO_MIGRATION_PRE_COPY;
	int error, result;

	snprintf(hang_line, sizeof hang_line, "Bail out! the device does not answer when it is opened\n");
	printf("TAP version 13\n");
	error = open_device();
	if (error == ENOENT || error == ENOTTY) {
		printf("1..0 # SKIP %s: %s\n", failed_call, error == ENOTTY ? "no migration support" : strerror(error));
		return 4;
	}
	if (error != 0) {
		printf("Bail out! %s: %s\n", failed_call, strerror(error));
		return 2;
	}
	if ((device_flags & optional) != (SUITE_FLAGS & optional)) {
		printf("1..0 # SKIP the suite is for a device with %s, and this one has flags 0x%" PRIx64 "\n",
		       suite_capabilities, device_flags);
		result = 4;
	} else {
		result = run(only);
	}
	close_device();
	free(image);
	return result;
}

int main(int argc, char **argv)
{
	static char output[1 << 16];
	const char *program = argc > 0 ? argv[0] : "suite", *only = NULL;
	struct sigaction action = { .sa_handler = on_alarm };
	uint64_t seconds = timeout_s;
	int count = 0;

	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], "--help") == 0)
			return printf(usage, program) < 0;
		if (strcmp(argv[i], "--list") == 0)
			return list_cases();
		if (strcmp(argv[i], "--only") == 0) {
			if (value == NULL || !has_case(value))
				return bad_usage(program, "--only wants a case of --list", value);
			only = argv[++i];
		} else if (strcmp(argv[i], "--timeout") == 0) {
			if (!number_of(value, 86400, &seconds))
				return bad_usage(program, "--timeout wants seconds, 1 to 86400", value);
			i++;
		} else if (strcmp(argv[i], "--max-bytes") == 0) {
			if (!number_of(value, SIZE_MAX / 4, &max_bytes))
				return bad_usage(program, "--max-bytes wants a number of bytes", value);
			i++;
		} else if (argv[i][0] == '-' || count == 2) {
			return bad_usage(program, "unknown argument", argv[i]);
		} else {
			*(count++ == 0 ? &device_path : &device_name) = argv[i];
		}
	}
	if (count == 0)
		return bad_usage(program, "no device", NULL);
	if (count == 1 && strncmp(device_path, "/dev/vfio/devices/", 18) != 0)
		return bad_usage(program, "a group wants the name of its device too", device_path);
	timeout_s = (unsigned int)seconds;
	sigaction(SIGALRM, &action, NULL);
	setvbuf(stdout, output, _IOLBF, sizeof output);
	return test_device(only);
}
`;
