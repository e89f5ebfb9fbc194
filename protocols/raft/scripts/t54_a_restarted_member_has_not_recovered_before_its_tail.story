# Trap 54: a member declares itself recovered, and answers reads, before the entries that it had
# acknowledged before the crash are applied again.
(cluster nodes=1)
(advance 1ms)
(propose 1 a b)
expect 1 commit=3 state="a b"
---
as expected

(crash 1)
(disk 1 hold)
(restart 1)
read 1 7
expect 1 commit=1 state="" read.7=dropped
---
n1 commits [1@1]
n1 drops reads [7]
as expected

# It leads again, but what it committed is known only when its own entry is durable.
advance 1ms
(disk 1 sync 1)
read 1 8
expect 1 role=leader read.8=pending
---
n1 writes #1 Vote term=2 vote=n1
n1 is candidate term=2 leader=-
as expected

disk 1 release
expect 1 read.8=4 commit=4 applied=4 state="a b"
---
n1 durable #2
n1 answers read 8 at 4
n1 commits [2@1=a 3@1=b 4@2]
as expected
