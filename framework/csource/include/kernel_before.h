/* What the kernel's headers need before struct page. FolioLab's own text. */
struct list_head { struct list_head *next, *prev; };
struct llist_node { struct llist_node *next; };
struct rcu_head { void *next; void *func; };
typedef struct { unsigned long f; } memdesc_flags_t;
typedef struct { unsigned long val; } swp_entry_t;
typedef unsigned long pgoff_t;
typedef int rmap_t;
typedef unsigned int gfp_t;
struct address_space;
struct dev_pagemap;
struct page_pool;
struct pglist_data;
struct mem_cgroup;
struct anon_vma { struct anon_vma *root; atomic_t refcount; };
#define SHRT_MAX 0x7fff
#define BITS_PER_BYTE 8
#define HPAGE_PUD_NR 262144
#define EBUSY 16
#define FOLIO_MAPPING_ANON 1
#define VM_DROPPABLE 0
#define noinline
#define __always_unused
#define __bitwise
#define __force
#define __aligned(x)
#define _struct_page_alignment
#define __randomize_layout
#define static_assert(...)
/* IS_ENABLED of options that are 1 or not defined at all */
#define FL_COMMA_1 0,
#define FL_SECOND(a, b, ...) b
#define FL_PICK(x) FL_SECOND(x 1, 0)
#define FL_JOIN(x) FL_PICK(FL_COMMA_##x)
#define IS_ENABLED(x) FL_JOIN(x)
