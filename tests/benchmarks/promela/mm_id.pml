/* Three threads, each of its own MM, map and unmap two pages of a file folio of four, counted as by `mm-id`.
 *
 * Every statement that touches a shared variable is one step, like every access in the explored execution; the same
 * variables are shared: references, two page mapcounts, the number of mapped pages, the large mapcount, and two slots
 * of count and ID, the lock in the top bit of the first ID and the flag in that of the second. What the text does
 * between two accesses belongs to the step before. Written from specification 1.3, 1.4 and 2.2 (A1 to A5, S1 to S4).
 */
#ifndef THREADS
#define THREADS 3
#endif
#define NR 2
#define TOP 128
#define ID(word) ((word) & 127)

int refcount = 4;             /* the page cache's */
int page_mapcount[NR] = -1;
int nr_pages_mapped = 0;
int large_mapcount = -1;
int slot_count[2] = -1;
byte slot_id[2] = 0;

inline lock() { atomic { !(slot_id[0] & TOP) -> slot_id[0] = slot_id[0] | TOP } }
inline unlock() { d_step { slot_id[0] = slot_id[0] & 127; word = 0; count = 0; total = 0; left = 0 } }
inline flag() { word = slot_id[1]; slot_id[1] = word | TOP }
inline unflag() { word = slot_id[1]; slot_id[1] = word & 127 }

inline add_to(slot) { count = slot_count[slot]; slot_count[slot] = count + NR }
inline take(slot) { word = slot_id[slot]; slot_id[slot] = word | me; slot_count[slot] = NR - 1 }
inline sub_from(slot) {
    count = slot_count[slot];
    if
    :: count - NR >= 0 -> d_step { slot_count[slot] = count - NR; left = 1 }
    :: else ->
        slot_count[slot] = -1;
        word = slot_id[slot];
        slot_id[slot] = word & TOP
    fi
}

proctype Thread(byte me) {
    byte counted = 0;
    byte i = 0;
    byte word = 0;
    bit left = 0;
    int count = 0;
    int total = 0;

    /* map */
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
    lock();
    total = large_mapcount + NR;
    large_mapcount = total;
    word = slot_id[0];
    if
    :: ID(word) == me -> add_to(0)                                              /* A1 */
    :: else ->
        word = slot_id[1];
        if
        :: ID(word) == me -> add_to(1)                                          /* A2 */
        :: else ->
            word = slot_id[0];
            if
            :: ID(word) == 0 ->                                                 /* A3 */
                take(0);
                if :: total != NR - 1 -> flag() :: else fi
            :: else ->
                word = slot_id[1];
                if
                :: ID(word) == 0 -> take(1); flag()                             /* A4 */
                :: else                                                         /* A5 */
                fi
            fi
        fi
    fi;
    unlock();

    /* unmap */
    lock();
    total = large_mapcount - NR;
    large_mapcount = total;
    word = slot_id[0];
    if
    :: ID(word) == me -> sub_from(0)                                            /* S1 */
    :: else ->
        word = slot_id[1];
        if
        :: ID(word) == me -> sub_from(1)                                        /* S2 */
        :: else                                                                 /* S3 */
        fi
    fi;
    if
    :: left
    :: else ->                                                                  /* S4 */
        count = slot_count[0];
        if
        :: count == total -> unflag()
        :: else ->
            count = slot_count[1];
            if :: count == total -> unflag() :: else fi
        fi
    fi;
    unlock();
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
        d_step { counted = (nr_pages_mapped != 0); counted = 0 }                /* partially mapped? */
    :: else -> i = 0
    fi;
    refcount = refcount - NR
}

init {
    byte t = 0;
    atomic { do :: t < THREADS -> t++; run Thread(t) :: else -> break od };
    _nr_pr == 1;
    assert(refcount == 4 && large_mapcount == -1 && nr_pages_mapped == 0);
    assert(page_mapcount[0] == -1 && page_mapcount[1] == -1);
    assert(slot_count[0] == -1 && slot_count[1] == -1 && slot_id[0] == 0 && slot_id[1] == 0)
}
