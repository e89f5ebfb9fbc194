# Trap 53: entries that were given out before a snapshot are applied after it, or commands and
# answers that waited for them are stranded.
(cluster nodes=3)
(campaign 1)
(stabilize)
(app 3 hold)
(propose 1 a b)
(stabilize)
expect 3 commit=3 applied=1
---
as expected

# Member 3 is cut off with two entries in its state machine's queue, and needs a snapshot.
(partition 3)
(propose 1 c d)
(stabilize)
(compact 1)
(heal)
(run 300ms)
(read 3 7)
(run 100ms)
expect 3 commit=3 state="" read.7=5
---
as expected

(app 3 release)
(run 1s)
expect 3 commit=5 applied=5 state="a b c d" base=5@1
---
as expected
