# Trap 21: an entry of an old term on a majority is taken for committed (figure 8 of the paper), and
# then overwritten. One entry per append, so that the old one travels alone.
(cluster nodes=5 append_bytes=1)
(campaign 1)
(stabilize)
(propose 1 old)
(deliver kind=Append to=2)
(drop)
(crash 1)
# Term 2: member 5 leads with an entry of its own, which nobody else gets.
(advance 3s)
(drop)
(campaign 5)
(drop to=2)
(deliver kind=PreVote)
(deliver kind=PreVoteReply)
(drop kind=Vote to=2)
(deliver kind=Vote)
(deliver kind=VoteReply)
(drop)
expect leader=5
expect 5 log="1 2"
---
as expected
as expected

# Term 3: member 1 returns, leads with 2, 3 and 4, and brings the old entry to a majority.
(crash 5)
(restart 1)
(advance 3s)
(drop)
# (It learns of term 2 from the first refusals.)
(campaign 1)
(deliver kind=PreVote)
(deliver kind=PreVoteReply)
(campaign 1)
(deliver kind=PreVote)
(deliver kind=PreVoteReply)
(deliver kind=Vote)
(deliver kind=VoteReply)
expect 1 role=leader term=3 log="1 1 3"
---
as expected

# Probes find the places, then the old entry travels.
(deliver kind=Append)
(deliver kind=AppendRefused)
deliver kind=Append
(drop kind=Append)
expect 3 log="1 1"
expect 4 log="1 1"
---
n3 ← n1 Append term=3 prev=1@1 [2@1=old] commit=1
n3 writes #5 Append [2@1=old]
n3 writes #6 Commit 1
n3 durable #6
n3 → n1 Appended term=3 matched=2
n4 ← n1 Append term=3 prev=1@1 [2@1=old] commit=1
n4 writes #5 Append [2@1=old]
n4 writes #6 Commit 1
n4 durable #6
n4 → n1 Appended term=3 matched=2
as expected
as expected

# Four of five hold it durably, and it is not committed.
(deliver kind=Appended)
(drop kind=Append)
status
expect 1 matched.3=2 matched.4=2 commit=1
---
6000ms
n1 leader term=3 vote=n1 leader=n1 commit=1 applied=1 last=3@3 base=0@0
n2 follower term=3 vote=n1 leader=n1 commit=1 applied=1 last=3@3 base=0@0
n3 follower term=3 vote=n1 leader=n1 commit=1 applied=1 last=2@1 base=0@0
n4 follower term=3 vote=n1 leader=n1 commit=1 applied=1 last=2@1 base=0@0
n5 is down
as expected

# It might still go: member 5 has the newer term. It only commits below an entry of term 3.
(run 3s)
expect 1 commit=3 state=old
---
as expected
