/*
 * Before the whole mm/rmap.c and the headers of a configured tree: what differs in the engine. FolioLab's own text.
 * FL_ names are the engine's offsets, bits and sizes, which are defined before.
 */
#undef CONFIG_DEBUG_VM			/* checks are missing, as elsewhere in compiled C */
#undef CONFIG_HAVE_JUMP_LABEL_HACK	/* static keys are as declared: nobody rewrites their jumps */
#pragma GCC visibility push(hidden)

#include <linux/preempt.h>
#undef preempt_disable
#undef preempt_enable
#define preempt_disable() barrier()	/* no other kernel code runs on this processor */
#define preempt_enable() barrier()
