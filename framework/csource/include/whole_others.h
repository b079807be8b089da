/*
 * What the whole mm/rmap.c leaves to the rest of a kernel, for each name that the linker would miss. FolioLab's own
 * text. FL_STATISTIC and FL_PARTIALLY tell the entry what it answers; no other function is called by what entries do.
 */
#define FL_HIDDEN __attribute__((__visibility__("hidden")))
FL_HIDDEN void foliolab_stat(int item, int delta);
FL_HIDDEN void foliolab_partially_mapped(_Bool is);
#define FL_STATISTIC(name) FL_HIDDEN void name(void *where, int item, int delta) { foliolab_stat(item, delta); }
#define FL_PARTIALLY(name) FL_HIDDEN void name(void *folio, _Bool is) { foliolab_partially_mapped(is); }
#define FL_DATA(name) FL_HIDDEN char name[1 << 16] __attribute__((__aligned__(64)));
#define FL_MISSING(name) FL_HIDDEN void name(void) { fl_missing("the compiled mm/rmap.c called " #name "\n"); }

/* Write the text to standard error, and end */
static __attribute__((__noreturn__)) void fl_missing(const char *text)
{
	long length = 0, written;

	while (text[length])
		length++;
	__asm__ volatile("syscall" : "=a"(written) : "0"(1L), "D"(2L), "S"(text), "d"(length) : "rcx", "r11", "memory");
	__builtin_trap();
}
/* What a compiler may call for an assignment */
FL_HIDDEN void *memset(void *to, int byte, unsigned long bytes)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(byte) : "memory");
	return to;
}
FL_HIDDEN void *memcpy(void *to, const void *from, unsigned long bytes)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes) : : "memory");
	return to;
}
