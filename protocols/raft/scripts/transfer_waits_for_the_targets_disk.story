# Handing over to a member that has not flushed the whole log (openraft#1805): the election it then
# starts fails, or wins with less.
(cluster nodes=3)
(campaign 1)
(stabilize)
(disk 2 hold)
(propose 1 a)
(stabilize)
transfer 1 2
expect 1 transfer=2 commit=2
expect wire.TimeoutNow=0
---
as expected
as expected

# Proposals are handed back meanwhile: the target would never catch up with a moving log.
propose 1 b
expect 1 refused=1
---
n1 refuses b
as expected

disk 2 release
stabilize
expect leader=2
expect 2 term=2 commit=3
---
n2 durable #4
n2 → n1 Appended term=1 matched=2
n2 → n1 Appended term=1 matched=2
n2 commits [2@1=a]
n1 ← n2 Appended term=1 matched=2
n1 → n2 TimeoutNow term=1
n1 ← n2 Appended term=1 matched=2
n2 ← n1 TimeoutNow term=1
n2 writes #5 Vote term=2 vote=n2
n2 is candidate term=2 leader=-
n2 durable #5
n2 → n1 Vote term=2 last=2@1 transfer
n2 → n3 Vote term=2 last=2@1 transfer
n1 ← n2 Vote term=2 last=2@1 transfer
n1 writes #5 Vote term=2 vote=n2
n1 is follower term=2 leader=-
n1 durable #5
n1 → n2 VoteReply term=2 granted
n3 ← n2 Vote term=2 last=2@1 transfer
n3 writes #5 Vote term=2 vote=n2
n3 is follower term=2 leader=-
n3 durable #5
n3 → n2 VoteReply term=2 granted
n2 ← n1 VoteReply term=2 granted
n2 writes #6 Append [3@2]
n2 writes #7 Commit 2
n2 → n1 Append term=2 prev=2@1 [3@2] commit=2
n2 → n3 Append term=2 prev=2@1 [3@2] commit=2
n2 is leader term=2 leader=n2
n2 durable #7
n2 ← n3 VoteReply term=2 granted
n1 ← n2 Append term=2 prev=2@1 [3@2] commit=2
n1 writes #6 Append [3@2]
n1 writes #7 Commit 2
n1 is follower term=2 leader=n2
n1 durable #7
n1 → n2 Appended term=2 matched=3
n3 ← n2 Append term=2 prev=2@1 [3@2] commit=2
n3 writes #6 Append [3@2]
n3 writes #7 Commit 2
n3 is follower term=2 leader=n2
n3 durable #7
n3 → n2 Appended term=2 matched=3
n2 ← n1 Appended term=2 matched=3
n2 → n1 Append term=2 prev=3@2 [] commit=3
n2 commits [3@2]
n2 ← n3 Appended term=2 matched=3
n2 → n3 Append term=2 prev=3@2 [] commit=3
n1 ← n2 Append term=2 prev=3@2 [] commit=3
n1 → n2 Appended term=2 matched=3
n1 commits [3@2]
n3 ← n2 Append term=2 prev=3@2 [] commit=3
n3 → n2 Appended term=2 matched=3
n3 commits [3@2]
n2 ← n1 Appended term=2 matched=3
n2 ← n3 Appended term=2 matched=3
as expected
as expected
