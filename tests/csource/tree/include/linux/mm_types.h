/* A tree for FolioLab's tests: own text, under the names that the kernel uses. */
#ifndef TEST_MM_TYPES_H
#define TEST_MM_TYPES_H

#include <linux/types.h>

#ifdef CONFIG_MM_ID
typedef unsigned int mm_id_t;
#define MM_NOBODY	0
#define FOLIO_OWNER_LOCK_BITNUM		0
#define FOLIO_OWNER_SHARED_BITNUM	1
#endif

struct something_else {
	struct list_head list;
	void (*function)(struct something_else *);
};

struct page {
	unsigned long flags;
	struct list_head lru;
	struct address_space *mapping;
	unsigned long index;
	unsigned long private;
	atomic_t _mapcount;
	atomic_t _refcount;
#ifdef CONFIG_MEMCG
	unsigned long memcg_data;
#endif
} _struct_page_alignment;

struct folio {
	union {
		struct {
			unsigned long flags;
			struct list_head lru;
			struct address_space *mapping;
			unsigned long index;
			unsigned long private;
			atomic_t _mapcount;
			atomic_t _refcount;
#ifdef CONFIG_MEMCG
			unsigned long memcg_data;
#endif
		};
		struct page page;
	};
	union {
		struct {
			unsigned long _flags_1;
			unsigned long _head_1;
			atomic_t _large_mapcount;
			atomic_t _nr_pages_mapped;
			atomic_t _entire_mapcount;
			atomic_t _pincount;
#ifdef CONFIG_MM_ID
			int _owner_mapcount;
			mm_id_t _owner;
			unsigned long _owner_flags;
#endif
			char _padding[0] __aligned(8);
		};
		struct {
			unsigned long _words[7];
			unsigned int _nr_pages;
		};
		struct page __page_1;
	};
	union {
		struct {
			unsigned long _flags_2;
			unsigned long _head_2;
			struct list_head _deferred_list;
		};
		struct page __page_2;
	};
	struct page __page_3;
};
#endif
