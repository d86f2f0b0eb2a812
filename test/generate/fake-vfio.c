/*
 * A VFIO device that is not there: preloaded before a program, it answers what the program asks of
 * /dev/iommu and /dev/vfio/devices/vfio0. FAKE_FAULT names a mistake that the device makes.
 * "fake-tables.h" has the numbers and layouts of the uAPI and the tables of the machines.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "fake-tables.h"

#define IOMMU_FD 1000
#define DEVICE_FD 1001
#define FIRST_DATA_FD 1002
#define MOST_DATA_FDS 100000

/* A record of the stream: what it is, a number that fits, and zeros. */
#define RECORD 16
#define PRELIMINARY 'p'
#define FINAL 'f'

static int state = VFIO_DEVICE_STATE_RUNNING;
static int session = -1; /* its data_fd */
static int next_fd = FIRST_DATA_FD;
static bool is_load[MOST_DATA_FDS], is_closed[MOST_DATA_FDS];
static bool logs;
static unsigned char stream[4096];
static size_t stream_size, stream_at;

static bool has_fault(const char *name)
{
	const char *fault = getenv("FAKE_FAULT");

	return fault != NULL && strcmp(fault, name) == 0;
}

static int fails(int error)
{
	errno = error;
	return -1;
}

static bool in(int which, unsigned int states)
{
	return ((states >> which) & 1U) != 0;
}

static void append(char kind)
{
	unsigned char record[RECORD] = { (unsigned char)kind, 0x5a };

	memcpy(stream + stream_size, record, sizeof record);
	stream_size += sizeof record;
}

/* Whether the stream is one of ours so far; complete: with its final record. */
static bool is_ours(bool *complete)
{
	*complete = false;
	for (size_t at = 0; at < stream_size; at++) {
		unsigned char byte = stream[at];
		size_t place = at % RECORD;

		if (*complete || (place == 0 && byte != PRELIMINARY && byte != FINAL) ||
		    (place == 1 && byte != 0x5a) || (place > 1 && byte != 0))
			return false;
		if (place == RECORD - 1 && stream[at - place] == FINAL)
			*complete = true;
	}
	return true;
}

static int begin(int to)
{
	session = next_fd++;
	is_load[session - FIRST_DATA_FD] = to == VFIO_DEVICE_STATE_RESUMING;
	stream_size = stream_at = 0;
	return session;
}

static int set(uint32_t to, int *data_fd)
{
	bool complete;

	*data_fd = -1;
	if (to >= STATES || path_length[state][to] < 0)
		return has_fault("takes-anything") && to < STATES ? 0 : fails(EINVAL);
	if ((int)to == state)
		return 0;
	if (has_fault("hangs") && to == VFIO_DEVICE_STATE_STOP)
		sleep(60);
	if (state == VFIO_DEVICE_STATE_RESUMING && (!is_ours(&complete) || !complete) && !has_fault("loads-anything"))
		return fails(EINVAL);
	if (has_fault("goes-elsewhere") && in(state, IN_PRE_COPY) && to == VFIO_DEVICE_STATE_STOP)
		to = VFIO_DEVICE_STATE_RUNNING;
	if (gives_fd[state][to])
		*data_fd = begin((int)to);
	else if (!(in(state, SAVING_GROUP) && in((int)to, SAVING_GROUP)))
		session = -1;
	if (*data_fd >= 0 && in((int)to, IN_PRE_COPY))
		append(PRELIMINARY);
	if (to == VFIO_DEVICE_STATE_STOP_COPY)
		append(FINAL);
	state = (int)to;
	return 0;
}

static int log_start(const unsigned char *data)
{
	struct vfio_device_feature_dma_logging_control control;
	const struct vfio_device_feature_dma_logging_range *ranges;

	memcpy(&control, data, sizeof control);
	ranges = (const void *)(uintptr_t)control.ranges;
	if (control.num_ranges == 0 || control.num_ranges > 256)
		return fails(control.num_ranges == 0 ? EINVAL : E2BIG);
	for (uint32_t i = 0; i < control.num_ranges; i++) {
		uint64_t iova = ranges[i].iova, length = ranges[i].length;

		if (iova % 4096 != 0 || length % 4096 != 0)
			return fails(EINVAL);
		if (iova + length < iova)
			return fails(EOVERFLOW);
		for (uint32_t j = 0; j < i; j++)
			if (iova < ranges[j].iova + ranges[j].length && ranges[j].iova < iova + length)
				return fails(EINVAL);
	}
	if (logs)
		return fails(EBUSY);
	logs = true;
	return 0;
}

static int log_report(const unsigned char *data)
{
	struct vfio_device_feature_dma_logging_report report;

	memcpy(&report, data, sizeof report);
	if (report.page_size < 4096 || (report.page_size & (report.page_size - 1)) != 0)
		return fails(EINVAL);
	if (report.iova + report.length < report.iova)
		return fails(EOVERFLOW);
	if (!logs)
		return fails(EINVAL);
	/* The whole bitmap is the device's to write. */
	memset((void *)(uintptr_t)report.bitmap, 0xff, (report.length / report.page_size + 63) / 64 * 8);
	return 0;
}

static int region_info(void *argument)
{
	struct vfio_region_info info;

	memcpy(&info, argument, sizeof info);
	if (info.index > 8)
		return fails(EINVAL);
	info.size = 256;
	info.offset = (uint64_t)info.index << 40;
	memcpy(argument, &info, sizeof info);
	return 0;
}

static int migration(uint32_t flags, unsigned char *data)
{
	struct vfio_device_feature_migration has = { .flags = SUITE_FLAGS };
	struct vfio_device_feature_mig_data_size size = { .stop_copy_length = RECORD };
	struct vfio_device_feature_mig_state mig;
	int result = 0;

	if ((flags & VFIO_DEVICE_FEATURE_PROBE) != 0) {
		uint32_t index = flags & VFIO_DEVICE_FEATURE_MASK;

		return index == VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2 ? fails(ENOTTY) : 0;
	}
	switch (flags & VFIO_DEVICE_FEATURE_MASK) {
	case VFIO_DEVICE_FEATURE_MIGRATION:
		memcpy(data, &has, sizeof has);
		return 0;
	case VFIO_DEVICE_FEATURE_MIG_DATA_SIZE:
		memcpy(data, &size, sizeof size);
		return 0;
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_START:
		return log_start(data);
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP:
		logs = false;
		return 0;
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT:
		return log_report(data);
	case VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE:
		memcpy(&mig, data, sizeof mig);
		if ((flags & VFIO_DEVICE_FEATURE_SET) != 0)
			result = set(mig.device_state, &mig.data_fd);
		else
			mig.device_state = (uint32_t)state;
		memcpy(data, &mig, sizeof mig);
		return result;
	default:
		return fails(ENOTTY);
	}
}

static int precopy_info(int fd)
{
	if (is_closed[fd - FIRST_DATA_FD])
		return fails(EBADF);
	return in(state, IN_PRE_COPY) && fd == session ? 0 : fails(EINVAL);
}

int ioctl(int fd, unsigned long request, ...)
{
	struct vfio_device_info info = { .argsz = sizeof info, .flags = VFIO_DEVICE_FLAGS_RESET };
	struct vfio_device_feature head;
	unsigned char *argument;
	va_list arguments;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (fd >= FIRST_DATA_FD && fd < next_fd && request == VFIO_MIG_GET_PRECOPY_INFO)
		return precopy_info(fd);
	if (fd == IOMMU_FD)
		return 0;
	if (fd != DEVICE_FD)
		return fails(EBADF);
	switch (request) {
	case VFIO_DEVICE_BIND_IOMMUFD:
	case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
		return 0;
	case VFIO_DEVICE_GET_INFO:
		memcpy(argument, &info, sizeof info);
		return 0;
	case VFIO_DEVICE_GET_REGION_INFO:
		return region_info(argument);
	case VFIO_DEVICE_RESET:
		if (has_fault("no-way-back") && state != VFIO_DEVICE_STATE_RUNNING)
			return fails(EIO);
		state = VFIO_DEVICE_STATE_RUNNING;
		session = -1;
		return 0;
	case VFIO_DEVICE_FEATURE:
		memcpy(&head, argument, sizeof head);
		return migration(head.flags, argument + sizeof head);
	default:
		return fails(ENOTTY);
	}
}

static int check(int fd, bool load)
{
	if (is_closed[fd - FIRST_DATA_FD] || is_load[fd - FIRST_DATA_FD] != load)
		return fails(EBADF);
	return fd == session ? 0 : fails(ENODEV);
}

ssize_t read(int fd, void *into, size_t size)
{
	size_t part = stream_size - stream_at < size ? stream_size - stream_at : size;

	if (fd < FIRST_DATA_FD || fd >= next_fd) {
		ssize_t (*next)(int, void *, size_t);

		*(void **)&next = dlsym(RTLD_NEXT, "read");
		return next(fd, into, size);
	}
	if (check(fd, false) != 0)
		return -1;
	if (part == 0 && in(state, IN_PRE_COPY) && !has_fault("ends-early"))
		return fails(ENOMSG);
	memcpy(into, stream + stream_at, part);
	stream_at += part;
	return (ssize_t)part;
}

/* The program reads regions so, a byte less than it asks for at first. */
ssize_t pread64(int fd, void *into, size_t size, off_t offset)
{
	size_t part = size > 1 ? size - 1 : size;

	if (fd != DEVICE_FD || (offset & 0xffffffff) + (off_t)size > 256)
		return fails(EINVAL);
	memset(into, 0xff, part);
	return (ssize_t)part;
}

ssize_t write(int fd, const void *bytes, size_t size)
{
	bool complete;

	if (fd < FIRST_DATA_FD || fd >= next_fd) {
		ssize_t (*next)(int, const void *, size_t);

		*(void **)&next = dlsym(RTLD_NEXT, "write");
		return next(fd, bytes, size);
	}
	if (check(fd, true) != 0)
		return -1;
	if (size > sizeof stream - stream_size)
		return fails(EINVAL);
	memcpy(stream + stream_size, bytes, size);
	stream_size += size;
	return is_ours(&complete) || has_fault("loads-anything") ? (ssize_t)size : fails(EINVAL);
}

int close(int fd)
{
	if (fd >= FIRST_DATA_FD && fd < next_fd) {
		if (is_closed[fd - FIRST_DATA_FD])
			return fails(EBADF);
		is_closed[fd - FIRST_DATA_FD] = true;
	} else if (fd == DEVICE_FD && !has_fault("no-way-back")) {
		state = VFIO_DEVICE_STATE_RUNNING;
		session = -1;
		logs = false;
	} else if (fd < 0) {
		return fails(EBADF);
	}
	return 0;
}

int open64(const char *path, int flags, ...)
{
	(void)flags;
	if (strcmp(path, "/dev/iommu") == 0)
		return IOMMU_FD;
	if (strcmp(path, "/dev/vfio/devices/vfio0") == 0)
		return DEVICE_FD;
	return fails(strcmp(path, "/dev/vfio/devices/vfio1") == 0 ? EACCES : ENOENT);
}

int open(const char *path, int flags, ...)
{
	return open64(path, flags);
}
