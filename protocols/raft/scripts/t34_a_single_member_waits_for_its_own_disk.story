# Trap 34: with one member, an entry is acknowledged before its own sync.
(cluster nodes=1)
(advance 1ms)
(disk 1 hold)
propose 1 a
expect 1 commit=1 applied=1 state=""
---
n1 writes #3 Append [2@1=a]
n1 writes #4 Commit 1
as expected

disk 1 release
expect 1 commit=2 state=a
---
n1 durable #4
n1 commits [2@1=a]
as expected
