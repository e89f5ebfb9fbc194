# Trap 8: completions that skip or repeat make the durable index miss the newest write.
(cluster nodes=3)
(campaign 1)
(stabilize)
(disk 1 hold)
(propose 1 a)
(propose 1 b)
(propose 1 c)
log 1
expect 1 stable=1 last=4@1
---
n1 base=0@0 [1@1] pending=["Append [2@1=a]", "Commit 1", "Append [3@1=b]", "Append [4@1=c]"]
as expected

# One completion for three writes, then the last.
disk 1 sync 3
expect 1 stable=3
---
n1 durable #5
as expected

disk 1 sync 1
expect 1 stable=4
---
n1 durable #6
as expected
