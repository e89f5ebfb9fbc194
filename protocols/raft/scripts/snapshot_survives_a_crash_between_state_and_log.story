# The host has switched to the new state, and the power fails before the log's own record of it is
# durable: the log restarts after the state.
(cluster nodes=3)
(campaign 1)
(stabilize)
(partition 3)
(propose 1 a b c)
(stabilize)
(compact 1)
(heal)
(disk 3 hold)
(run 500ms)
expect 3 base=4@1 disk_last=1@1
---
as expected

# Nothing was acknowledged that the crash could take back.
expect 1 matched.3=1
crash 3
restart 3
expect 3 base=4@1 last=4@1 applied=4
---
as expected
n3 crashed
n3 restarted
as expected

(run 500ms)
(propose 1 d)
(stabilize)
expect 3 state="a b c d" commit=5
---
as expected
