#ifndef TEST_PREEMPT_H
#define TEST_PREEMPT_H
/* The count of each processor is what only a kernel has */
void count_preemption(int change);
#define preempt_disable() count_preemption(1)
#define preempt_enable() count_preemption(-1)
#endif
