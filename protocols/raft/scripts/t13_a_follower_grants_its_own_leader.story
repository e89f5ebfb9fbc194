# Trap 13: a leader restarts quickly and its followers refuse it, because they have heard from a
# leader recently: from this very one.
(cluster nodes=3)
(campaign 1)
(stabilize)
crash 1
restart 1
(campaign 1)
deliver
deliver
expect 1 role=candidate term=2
---
n1 crashed
n1 restarted
n2 ← n1 PreVote term=2 last=1@1
n2 → n1 PreVoteReply term=2 granted
n3 ← n1 PreVote term=2 last=1@1
n3 → n1 PreVoteReply term=2 granted
n1 ← n2 PreVoteReply term=2 granted
n1 writes #1 Vote term=2 vote=n1
n1 is candidate term=2 leader=-
n1 durable #1
n1 → n2 Vote term=2 last=1@1
n1 → n3 Vote term=2 last=1@1
n1 ← n3 PreVoteReply term=2 granted
as expected

stabilize
expect leader=1
---
n2 ← n1 Vote term=2 last=1@1
n2 writes #3 Vote term=2 vote=n1
n2 is follower term=2 leader=-
n2 durable #3
n2 → n1 VoteReply term=2 granted
n3 ← n1 Vote term=2 last=1@1
n3 writes #3 Vote term=2 vote=n1
n3 is follower term=2 leader=-
n3 durable #3
n3 → n1 VoteReply term=2 granted
n1 ← n2 VoteReply term=2 granted
n1 writes #2 Append [2@2]
n1 → n2 Append term=2 prev=1@1 [2@2] commit=0
n1 → n3 Append term=2 prev=1@1 [2@2] commit=0
n1 is leader term=2 leader=n1
n1 durable #2
n1 ← n3 VoteReply term=2 granted
n2 ← n1 Append term=2 prev=1@1 [2@2] commit=0
n2 writes #4 Append [2@2]
n2 writes #5 Commit 1
n2 is follower term=2 leader=n1
n2 durable #5
n2 → n1 Appended term=2 matched=2
n3 ← n1 Append term=2 prev=1@1 [2@2] commit=0
n3 writes #4 Append [2@2]
n3 writes #5 Commit 1
n3 is follower term=2 leader=n1
n3 durable #5
n3 → n1 Appended term=2 matched=2
n1 ← n2 Appended term=2 matched=2
n1 → n2 Append term=2 prev=2@2 [] commit=2
n1 commits [1@1 2@2]
n1 ← n3 Appended term=2 matched=2
n1 → n3 Append term=2 prev=2@2 [] commit=2
n2 ← n1 Append term=2 prev=2@2 [] commit=2
n2 → n1 Appended term=2 matched=2
n2 commits [2@2]
n3 ← n1 Append term=2 prev=2@2 [] commit=2
n3 → n1 Appended term=2 matched=2
n3 commits [2@2]
n1 ← n2 Appended term=2 matched=2
n1 ← n3 Appended term=2 matched=2
as expected
