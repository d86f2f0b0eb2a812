/** The search itself: the part of the C program that is the same for all models. */
export const C_MAIN = String.raw`/* States in the order in which they were reached; what stands behind "done" is the queue. */
static packed *states;
static uint64_t count, room;
/* Upper half: of the hash; lower half: number of the state and 1. 0: free. */
static uint64_t *table;
static uint64_t slots;
static uint64_t most_states = UINT32_MAX - 1;

static void *need(void *memory)
{
	if (memory != NULL)
		return memory;
	fprintf(stderr, "no memory for more than %llu states\n", (unsigned long long)count);
	exit(2);
}

static inline uint64_t hash_of(const packed *state)
{
	uint64_t hash = 0;

	for (int i = 0; i < WORDS; i++) {
		hash = (hash ^ state->w[i]) * 0x9e3779b97f4a7c15u;
		hash ^= hash >> 32;
	}
	return hash * 0xd6e8feb86659fd93u;
}

static inline int equal(const packed *a, const packed *b)
{
	uint64_t difference = 0;

	for (int i = 0; i < WORDS; i++)
		difference |= a->w[i] ^ b->w[i];
	return difference == 0;
}

static inline uint64_t slot_of(uint64_t hash)
{
	return hash >> 20 & (slots - 1);
}

static void grow_table(void)
{
	free(table);
	slots *= 2;
	table = need(calloc(slots, sizeof *table));
	for (uint64_t i = 0; i < count; i++) {
		const uint64_t hash = hash_of(&states[i]);
		uint64_t at = slot_of(hash);

		while (table[at] != 0)
			at = (at + 1) & (slots - 1);
		table[at] = (hash & 0xffffffff00000000u) | (i + 1);
	}
}

static void add(const packed *state, uint64_t hash)
{
	const uint64_t tag = hash & 0xffffffff00000000u;
	uint64_t at = slot_of(hash);

	for (; table[at] != 0; at = (at + 1) & (slots - 1))
		if ((table[at] & 0xffffffff00000000u) == tag &&
		    equal(&states[(table[at] & 0xffffffffu) - 1], state))
			return;
	if (count == most_states) {
		fprintf(stderr, "more than %llu states\n", (unsigned long long)count);
		exit(2);
	}
	if (count == room) {
		room *= 2;
		states = need(realloc(states, room * sizeof *states));
	}
	states[count++] = *state;
	table[at] = tag | count;
	if (count > slots / 4 * 3)
		grow_table();
}

int main(int argc, char **argv)
{
	static packed to[MOST_SUCCESSORS];
	static uint64_t hashes[MOST_SUCCESSORS];
	uint64_t done = 0, edges = 0, level = 1;
	unsigned int depth = 0;
	struct timespec begin, end;

	if (argc > 1)
		most_states = strtoull(argv[1], NULL, 10);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	room = 1 << 16;
	slots = 1 << 16;
	states = need(malloc(room * sizeof *states));
	table = need(calloc(slots, sizeof *table));
	add(&initial, hash_of(&initial));
	for (; done < count; done++) {
		int found;

		if (done == level) {
			depth++;
			level = count;
		}
		found = successors(&states[done], to);
		edges += (uint64_t)found;
		/* The table is larger than the caches: all places are asked for before the first is looked at. */
		for (int i = 0; i < found; i++) {
			hashes[i] = hash_of(&to[i]);
			__builtin_prefetch(&table[slot_of(hashes[i])]);
		}
		for (int i = 0; i < found; i++)
			add(&to[i], hashes[i]);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("states %llu edges %llu depth %u seconds %.3f bytes %llu\n", (unsigned long long)count,
	       (unsigned long long)edges, depth,
	       (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9,
	       (unsigned long long)(room * sizeof *states + slots * sizeof *table));
	return 0;
}
`;
