/*
 * Walks the cases of the emitted program through its model alone, and prints what the model allows for each
 * step. What then comes is one of these outcomes or of those that the case names, chosen by a rule that
 * c-model.test.ts has too.
 */
#define main suite_main
#include "vfio-device.c"
#undef main

/* The chosen one of some words with spaces between; its length is returned. */
static size_t word(const char *words, size_t choice, const char **found)
{
	size_t count = 0;

	for (const char *at = words; *at != '\0'; at += strcspn(at, " "), at += strspn(at, " "))
		count++;
	*found = words;
	for (size_t i = choice % count; i > 0; i--) {
		*found += strcspn(*found, " ");
		*found += strspn(*found, " ");
	}
	return strcspn(*found, " ");
}

int main(int argc, char **argv)
{
	static struct model model;
	size_t seed = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;

	(void)suite_main;
	has_image = true;
	image_size = 48;
	for (size_t c = 0; c < CASES; c++) {
		memset(&model, 0, sizeof model);
		model.state = VFIO_DEVICE_STATE_RUNNING;
		for (size_t i = 0; i < cases[c].count; i++) {
			const struct step *step = &cases[c].steps[i];
			size_t choice = seed + 31 * c + 7 * i;
			struct text out = { .length = 0 };
			char label[128];
			const char *found;
			size_t length;

			if (!allowed(&model, step, &out)) {
				printf("%s %zu no fd\n", cases[c].id, i);
				continue;
			}
			while (out.length > 0 && out.chars[out.length - 1] == ' ')
				out.chars[--out.length] = '\0';
			printf("%s %zu %s\n", cases[c].id, i, out.chars);
			length = word(choice % 3 == 0 ? step->expect : out.chars, choice, &found);
			snprintf(label, sizeof label, "%.*s", (int)length, found);
			take(&model, step, label);
		}
	}
	return 0;
}
