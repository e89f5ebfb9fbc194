# Operations that were forwarded to a leader which is about to hand over are lost, or done twice.
(cluster nodes=3)
(campaign 1)
(stabilize)
(propose 2 a)
transfer 1 3
propose 2 b
stabilize
expect leader=3
---
n1 → n3 TimeoutNow term=1
n2 → n1 Forward [n2/2:b]
n1 ← n2 Forward [n2/1:a]
n3 ← n1 TimeoutNow term=1
n3 writes #3 Vote term=2 vote=n3
n3 is candidate term=2 leader=-
n3 durable #3
n3 → n1 Vote term=2 last=1@1 transfer
n3 → n2 Vote term=2 last=1@1 transfer
n1 ← n2 Forward [n2/2:b]
n1 ← n3 Vote term=2 last=1@1 transfer
n1 writes #3 Vote term=2 vote=n3
n1 is follower term=2 leader=-
n1 durable #3
n1 → n3 VoteReply term=2 granted
n2 ← n3 Vote term=2 last=1@1 transfer
n2 writes #3 Vote term=2 vote=n3
n2 is follower term=2 leader=-
n2 durable #3
n2 → n3 VoteReply term=2 granted
n3 ← n1 VoteReply term=2 granted
n3 writes #4 Append [2@2]
n3 writes #5 Commit 1
n3 → n1 Append term=2 prev=1@1 [2@2] commit=1
n3 → n2 Append term=2 prev=1@1 [2@2] commit=1
n3 is leader term=2 leader=n3
n3 durable #5
n3 ← n2 VoteReply term=2 granted
n1 ← n3 Append term=2 prev=1@1 [2@2] commit=1
n1 writes #4 Append [2@2]
n1 writes #5 Commit 1
n1 is follower term=2 leader=n3
n1 durable #5
n1 → n3 Appended term=2 matched=2
n2 ← n3 Append term=2 prev=1@1 [2@2] commit=1
n2 writes #4 Append [2@2]
n2 writes #5 Commit 1
n2 → n3 Forward [n2/1:a, n2/2:b]
n2 is follower term=2 leader=n3
n2 durable #5
n2 → n3 Appended term=2 matched=2
n3 ← n1 Appended term=2 matched=2
n3 → n1 Append term=2 prev=2@2 [] commit=2
n3 commits [2@2]
n3 ← n2 Forward [n2/1:a, n2/2:b]
n3 writes #6 Append [3@2=n2/1:a 4@2=n2/2:b]
n3 writes #7 Commit 2
n3 → n1 Append term=2 prev=2@2 [3@2=n2/1:a 4@2=n2/2:b] commit=2
n3 durable #7
n3 ← n2 Appended term=2 matched=2
n3 → n2 Append term=2 prev=2@2 [3@2=n2/1:a 4@2=n2/2:b] commit=2
n1 ← n3 Append term=2 prev=2@2 [] commit=2
n1 → n3 Appended term=2 matched=2
n1 commits [2@2]
n1 ← n3 Append term=2 prev=2@2 [3@2=n2/1:a 4@2=n2/2:b] commit=2
n1 writes #6 Append [3@2=n2/1:a 4@2=n2/2:b]
n1 writes #7 Commit 2
n1 durable #7
n1 → n3 Appended term=2 matched=4
n2 ← n3 Append term=2 prev=2@2 [3@2=n2/1:a 4@2=n2/2:b] commit=2
n2 writes #6 Append [3@2=n2/1:a 4@2=n2/2:b]
n2 writes #7 Commit 2
n2 commits [2@2]
n2 durable #7
n2 → n3 Appended term=2 matched=4
n3 ← n1 Appended term=2 matched=2
n3 ← n1 Appended term=2 matched=4
n3 → n1 Append term=2 prev=4@2 [] commit=4
n3 → n2 Append term=2 prev=4@2 [] commit=4
n3 commits [3@2=n2/1:a 4@2=n2/2:b]
n3 ← n2 Appended term=2 matched=4
n1 ← n3 Append term=2 prev=4@2 [] commit=4
n1 → n3 Appended term=2 matched=4
n1 commits [3@2=n2/1:a 4@2=n2/2:b]
n2 ← n3 Append term=2 prev=4@2 [] commit=4
n2 → n3 Appended term=2 matched=4
n2 commits [3@2=n2/1:a 4@2=n2/2:b]
n2 answers operation 1: revision 2
n2 answers operation 2: revision 3
n3 ← n1 Appended term=2 matched=4
n3 ← n2 Appended term=2 matched=4
as expected

(run 1s)
expect 2 answered="1 2" open=0 rev=3
expect 1 keys="a b" rev=3
expect 3 keys="a b" rev=3
---
as expected
as expected
as expected
