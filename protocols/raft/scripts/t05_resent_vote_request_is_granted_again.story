# Trap 5: the answer was lost, the candidate asks again, and is refused by its own voter.
(cluster nodes=3)
(campaign 1)
(deliver)
(deliver)
(drop kind=Vote to=3)
(duplicate kind=Vote to=2)
(deliver kind=Vote to=2 count=1)
drop kind=VoteReply
deliver kind=Vote to=2
---
n2 → n1 VoteReply term=1 granted (dropped)
n2 ← n1 Vote term=1 last=0@0
n2 → n1 VoteReply term=1 granted

stabilize
expect leader=1
---
n1 ← n2 VoteReply term=1 granted
n1 writes #2 Append [1@1]
n1 → n2 Append term=1 prev=0@0 [1@1] commit=0
n1 → n3 Append term=1 prev=0@0 [1@1] commit=0
n1 is leader term=1 leader=n1
n1 durable #2
n2 ← n1 Append term=1 prev=0@0 [1@1] commit=0
n2 writes #2 Append [1@1]
n2 is follower term=1 leader=n1
n2 durable #2
n2 → n1 Appended term=1 matched=1
n3 ← n1 Append term=1 prev=0@0 [1@1] commit=0
n3 writes #1 Vote term=1 vote=-
n3 writes #2 Append [1@1]
n3 is follower term=1 leader=n1
n3 durable #2
n3 → n1 Appended term=1 matched=1
n1 ← n2 Appended term=1 matched=1
n1 → n2 Append term=1 prev=1@1 [] commit=1
n1 commits [1@1]
n1 ← n3 Appended term=1 matched=1
n1 → n3 Append term=1 prev=1@1 [] commit=1
n2 ← n1 Append term=1 prev=1@1 [] commit=1
n2 → n1 Appended term=1 matched=1
n2 commits [1@1]
n3 ← n1 Append term=1 prev=1@1 [] commit=1
n3 → n1 Appended term=1 matched=1
n3 commits [1@1]
n1 ← n2 Appended term=1 matched=1
n1 ← n3 Appended term=1 matched=1
as expected
