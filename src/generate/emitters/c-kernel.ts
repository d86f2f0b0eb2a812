/**
 * The part of the C program that talks to the kernel. All of it goes through five functions, `sys_open` and
 * so on, each with a bound on its time.
 */
export const C_KERNEL = String.raw`/* The kernel. Each call gives 0 or an error number. */

static unsigned int timeout_s = 30;
/* What to say when a call does not come back; made before the call, for a signal handler may not. */
static char hang_line[512];

_Noreturn static void on_alarm(int signal)
{
	(void)signal;
	if (write(STDOUT_FILENO, hang_line, strlen(hang_line)) < 0)
		_exit(1);
	_exit(1);
}

static int finish(long result, int *value)
{
	int error = result < 0 ? errno : 0;

	alarm(0);
	if (value != NULL)
		*value = result < 0 ? -1 : (int)result;
	return error;
}

static int sys_open(const char *path, int *fd)
{
	alarm(timeout_s);
	return finish(open(path, O_RDWR | O_CLOEXEC), fd);
}

static int sys_ioctl(int fd, unsigned long request, void *argument, int *value)
{
	alarm(timeout_s);
	return finish(ioctl(fd, request, argument), value);
}

/* offset < 0: from where the file is. */
static int sys_read(int fd, void *into, size_t size, int64_t offset, int *count)
{
	alarm(timeout_s);
	if (offset < 0)
		return finish(read(fd, into, size), count);
	return finish(pread(fd, into, size, (off_t)offset), count);
}

static int sys_write(int fd, const void *bytes, size_t size, int *count)
{
	alarm(timeout_s);
	return finish(write(fd, bytes, size), count);
}

static int sys_close(int fd)
{
	alarm(timeout_s);
	return finish(close(fd), NULL);
}

static void *need_memory(void *memory)
{
	if (memory != NULL)
		return memory;
	printf("Bail out! there is no memory\n");
	exit(2);
}

/* A call of VFIO_DEVICE_FEATURE; flags hold the index and GET, SET, PROBE. */
static int feature(int device, uint32_t flags, void *data, size_t size)
{
	_Alignas(8) unsigned char call[64] = { 0 };
	struct vfio_device_feature head = { .argsz = (uint32_t)(sizeof head + size), .flags = flags };
	int error;

	memcpy(call, &head, sizeof head);
	if (size > 0)
		memcpy(call + sizeof head, data, size);
	error = sys_ioctl(device, VFIO_DEVICE_FEATURE, call, NULL);
	if (size > 0)
		memcpy(data, call + sizeof head, size);
	return error;
}

#define GET_OF(name) (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_##name)
#define SET_OF(name) (VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_##name)

static bool offers(int device, uint32_t flags)
{
	return feature(device, VFIO_DEVICE_FEATURE_PROBE | flags, NULL, 0) == 0;
}

/* An open device, and what was opened on the way to it. */
static const char *device_path, *device_name;
static int device = -1, iommufd = -1, group = -1, container = -1;
static uint64_t device_flags;
static bool has_reset, has_region, has_data_size, has_precopy_info_v2, has_dma_logging;
/* Known since the first opening. */
static bool reset_is_known;

static int *const opened[] = { &device, &iommufd, &group, &container };

static void close_device(void)
{
	for (size_t i = 0; i < sizeof opened / sizeof opened[0]; i++) {
		if (*opened[i] >= 0)
			sys_close(*opened[i]);
		*opened[i] = -1;
	}
}

static const char *failed_call;

static int tried(const char *call, int error)
{
	failed_call = call;
	return error;
}

static int open_cdev(void)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof bind };
	struct iommu_ioas_alloc space = { .size = sizeof space };
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof attach };
	int error;

	error = tried("open of /dev/iommu", sys_open("/dev/iommu", &iommufd));
	if (error == 0)
		error = tried("open of the device", sys_open(device_path, &device));
	bind.iommufd = iommufd;
	if (error == 0)
		error = tried("VFIO_DEVICE_BIND_IOMMUFD",
			      sys_ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind, NULL));
	/* With an address space the device may do DMA. Migration needs none: a refusal is no obstacle. */
	if (error == 0 && sys_ioctl(iommufd, IOMMU_IOAS_ALLOC, &space, NULL) == 0) {
		attach.pt_id = space.out_ioas_id;
		(void)sys_ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach, NULL);
	}
	return error;
}

static int open_group(void)
{
	struct vfio_group_status status = { .argsz = sizeof status };
	char name[256];
	int error;

	snprintf(name, sizeof name, "%s", device_name);
	error = tried("open of /dev/vfio/vfio", sys_open("/dev/vfio/vfio", &container));
	if (error == 0)
		error = tried("open of the group", sys_open(device_path, &group));
	if (error == 0)
		error = tried("VFIO_GROUP_GET_STATUS",
			      sys_ioctl(group, VFIO_GROUP_GET_STATUS, &status, NULL));
	if (error == 0 && (status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0)
		error = tried("the group is not viable", EBUSY);
	if (error == 0)
		error = tried("VFIO_GROUP_SET_CONTAINER",
			      sys_ioctl(group, VFIO_GROUP_SET_CONTAINER, &container, NULL));
	if (error == 0)
		error = tried("VFIO_SET_IOMMU",
			      sys_ioctl(container, VFIO_SET_IOMMU, (void *)(uintptr_t)VFIO_TYPE1v2_IOMMU, NULL));
	if (error == 0)
		error = tried("VFIO_GROUP_GET_DEVICE_FD",
			      sys_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name, &device));
	return error;
}

/* Not every driver with a reset says so in its flags: where the flag is missing it is tried once. */
static bool offers_reset(void)
{
	struct vfio_device_info info = { .argsz = sizeof info };

	if (sys_ioctl(device, VFIO_DEVICE_GET_INFO, &info, NULL) != 0)
		return false;
	if ((info.flags & VFIO_DEVICE_FLAGS_RESET) != 0)
		return true;
	return sys_ioctl(device, VFIO_DEVICE_RESET, NULL, NULL) == 0;
}

/* Reads from a region of the device; all bytes or an error. */
static int read_region(uint32_t index, uint64_t offset, uint64_t size)
{
	struct vfio_region_info info = { .argsz = sizeof info, .index = index };
	int error = sys_ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info, NULL);
	unsigned char *into;
	int count = 0;

	if (error != 0)
		return error;
	/* Behind a region's end the file belongs to the next one. */
	if (offset > info.size || size > info.size - offset)
		return EINVAL;
	into = need_memory(malloc(size + 1));
	for (uint64_t done = 0; error == 0 && done < size; done += (uint64_t)count) {
		error = sys_read(device, into, size - done, (int64_t)(info.offset + offset + done), &count);
		if (error == 0 && count <= 0)
			error = EIO;
	}
	free(into);
	return error;
}

/* Opens the device and asks what it can do. */
static int open_device(void)
{
	struct vfio_device_feature_migration migration = { 0 };
	int error = device_name == NULL ? open_cdev() : open_group();

	if (error == 0)
		error = tried("GET of MIGRATION", feature(device, GET_OF(MIGRATION), &migration, sizeof migration));
	if (error != 0) {
		close_device();
		return error;
	}
	device_flags = migration.flags;
	if (!reset_is_known)
		has_reset = offers_reset();
	reset_is_known = true;
	has_region = read_region(VFIO_PCI_CONFIG_REGION_INDEX, 0, 2) == 0;
	has_dma_logging = offers(device, SET_OF(DMA_LOGGING_START));
	has_data_size = offers(device, GET_OF(MIG_DATA_SIZE));
	has_precopy_info_v2 = offers(device, SET_OF(MIG_PRECOPY_INFOv2));
	return 0;
}

static int get_state(int *state)
{
	struct vfio_device_feature_mig_state mig = { .data_fd = -1 };
	int error = feature(device, GET_OF(MIG_DEVICE_STATE), &mig, sizeof mig);

	if (error == 0 && mig.device_state >= STATES)
		error = EPROTO;
	if (error == 0)
		*state = (int)mig.device_state;
	return error;
}

static int set_state(uint32_t state, int *data_fd)
{
	struct vfio_device_feature_mig_state mig = { .device_state = state, .data_fd = -1 };
	int error = feature(device, SET_OF(MIG_DEVICE_STATE), &mig, sizeof mig);

	*data_fd = error == 0 ? mig.data_fd : -1;
	return error;
}`;
