# Trap 36: a new leader answers a read at its own commit index, which may be behind what its
# predecessor committed and acknowledged.
(cluster nodes=3)
(campaign 1)
(stabilize)
(propose 1 a)
(deliver kind=Append)
(deliver kind=Appended)
expect 1 commit=2
expect 2 commit=1
---
as expected
as expected

# Member 2 leads and has not committed anything of its term; all beacons are answered.
(drop)
(crash 1)
(advance 3s)
(drop)
(campaign 2)
(deliver kind=PreVote)
(deliver kind=PreVoteReply)
(deliver kind=Vote)
(deliver kind=VoteReply)
(drop kind=Append)
expect 2 role=leader commit=1
---
as expected

(read 2 7)
(advance 100ms)
(deliver kind=Heartbeat)
deliver kind=HeartbeatReply
expect 2 read.7=pending
---
n2 ← n3 HeartbeatReply term=2 round=0
as expected

# When its own entry is committed, the read is answered, at an index that covers the write.
(run 1s)
expect 2 read.7=3 commit=3 state=a
---
as expected
