/* The engine's entries for the whole mm/rmap.c: an MM and a VMA as the kernel has them. FolioLab's own text. */
#include <linux/mm.h>
#include <linux/rmap.h>
#include <linux/mmzone.h>
__thread struct fl_told foliolab_told;
_Static_assert(sizeof(struct page) == FL_STRUCT_PAGE, "struct page is not as large as FolioLab's");
#define FL_PLACE(struct_name, field, offset, bytes) \
	_Static_assert(offsetof(struct struct_name, field) == offset && \
		       sizeof(((struct struct_name *)0)->field) == bytes, \
		       #field " of struct " #struct_name " lies elsewhere than in the translation, or has another size")

/* A VMA with nothing locked; other members of it and of the MM are not read */
static __always_inline void fl_begin(struct vm_area_struct *vma, struct mm_struct *mm, void *own)
{
#ifdef CONFIG_MM_ID
	mm->mm_id = *(volatile unsigned int *)((char *)own + FL_MM_ID_OFFSET);
#endif
	memset(&mm->flags, 0, sizeof(mm->flags));
	vm_flags_init(vma, 0);
	vma->vm_mm = mm;
}
#define FL_VMA struct mm_struct fl_mm; struct vm_area_struct vma; fl_begin(&vma, &fl_mm, mm)

/*
 * A new folio's VMA begins where folio->index stays as it is (the address of every page is 0), and its anon_vma makes
 * folio->mapping the engine's.
 */
static struct anon_vma fl_anon_vma;
#define FL_VMA_OF_NEW \
	struct mm_struct fl_mm; \
	struct vm_area_struct vma = { .anon_vma = &fl_anon_vma, .vm_start = -(folio->index << PAGE_SHIFT) }; \
	fl_begin(&vma, &fl_mm, mm)

/* The kernel's statistics, which are what hooks answer */
void foliolab_stat(int item, int delta)
{
	if (item == NR_ANON_MAPPED || item == NR_FILE_MAPPED)
		foliolab_told.nr_ += delta;
	else if (item == NR_ANON_THPS || item == NR_SHMEM_PMDMAPPED || item == NR_FILE_PMDMAPPED)
		foliolab_told.pmd_ += delta;
}
void foliolab_partially_mapped(bool is) { foliolab_told.partially_ = is; }

#define FL_ARGUMENTS struct folio *folio, struct page *page, long nr, void *mm, long vpn
#ifndef FL_ENTRY
#define FL_ENTRY(name) \
	__attribute__((__visibility__("default"))) long foliolab_##name(FL_ARGUMENTS); \
	long foliolab_##name(FL_ARGUMENTS)
#endif
#define FL_PACKED(nr, nr_pmdmapped, partially_mapped) \
	((long)(nr) + (long)(nr_pmdmapped) * (1L << FL_PACK) + (long)!!(partially_mapped) * (1L << 2 * FL_PACK))
