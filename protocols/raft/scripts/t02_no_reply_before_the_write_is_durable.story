# Trap 2: a vote or an acknowledgement that leaves before its write is durable is a promise that a
# crash can break.
(cluster nodes=3)
(disk 2 hold)
(campaign 1)
(deliver)
(deliver)
deliver kind=Vote to=2
expect wire.VoteReply=0
---
n2 ← n1 Vote term=1 last=0@0
n2 writes #1 Vote term=1 vote=n1
n2 is follower term=1 leader=-
as expected

disk 2 sync 1
expect wire.VoteReply=1
---
n2 durable #1
n2 → n1 VoteReply term=1 granted
as expected

# The same for entries.
(disk 2 release)
(stabilize)
(disk 2 hold)
(propose 1 a)
deliver kind=Append to=2
expect wire.Appended=0
---
n2 ← n1 Append term=1 prev=1@1 [2@1=a] commit=1
n2 writes #3 Append [2@1=a]
n2 writes #4 Commit 1
as expected

# A crash now loses the entry, and nobody was told otherwise.
crash 2
expect 1 matched.2=1
---
n2 crashed
as expected
