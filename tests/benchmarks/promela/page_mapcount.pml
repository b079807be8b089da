/* Three threads map and unmap two pages of a file folio of four, counted as by `page-mapcount`.
 *
 * Every statement that touches a shared variable is one step, like every access in the explored execution; the same
 * variables are shared: references, two page mapcounts, the number of mapped pages, the large mapcount. What the
 * text does between two accesses belongs to the step before. Written from specification 1.3 and 1.4.
 */
#ifndef THREADS
#define THREADS 3
#endif
#define NR 2

int refcount = 4;             /* the page cache's */
int page_mapcount[NR] = -1;
int nr_pages_mapped = 0;
int large_mapcount = -1;

proctype Thread() {
    byte counted = 0;
    byte i = 0;

    /* map: references, page mapcounts, pages mapped, large mapcount */
    refcount = refcount + NR;
    do
    :: i < NR -> d_step {
        page_mapcount[i] = page_mapcount[i] + 1;
        if :: page_mapcount[i] == 0 -> counted++ :: else fi;
        i++
    }
    :: else -> break
    od;
    if
    :: counted > 0 -> d_step { nr_pages_mapped = nr_pages_mapped + counted; counted = 0; i = 0 }
    :: else -> i = 0
    fi;
    large_mapcount = large_mapcount + NR;

    /* unmap: the large mapcount goes first, the references last */
    large_mapcount = large_mapcount - NR;
    do
    :: i < NR -> d_step {
        page_mapcount[i] = page_mapcount[i] - 1;
        if :: page_mapcount[i] < 0 -> counted++ :: else fi;
        i++
    }
    :: else -> break
    od;
    if
    :: counted > 0 ->
        d_step { nr_pages_mapped = nr_pages_mapped - counted; i = 0 };
        d_step { counted = (nr_pages_mapped != 0); counted = 0 }   /* partially mapped? */
    :: else -> i = 0
    fi;
    refcount = refcount - NR
}

init {
    byte t = 0;
    atomic { do :: t < THREADS -> run Thread(); t++ :: else -> break od };
    _nr_pr == 1;
    assert(refcount == 4 && large_mapcount == -1 && nr_pages_mapped == 0);
    assert(page_mapcount[0] == -1 && page_mapcount[1] == -1)
}
