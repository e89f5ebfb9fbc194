# A follower that takes the state slowly finds, at its end, that what came after is compacted away, and
# needs another, again and again.
(cluster nodes=3)
(campaign 1)
(stabilize)
(partition 3)
(propose 1 a b c d)
(stabilize)
(compact 1)
(heal)
(advance 300ms)
(deliver kind=Heartbeat)
(deliver kind=HeartbeatReply)
(deliver kind=Append)
(deliver kind=AppendRefused)
expect 1 base=5@1 flow.3=snapshot
---
as expected

# The leader writes on and wants to compact while the first chunk is on its way.
(propose 1 e f g)
(deliver from=1 to=2)
(deliver from=2 to=1)
(deliver from=1 to=2)
(compact 1)
expect 1 commit=8 applied=8 base=5@1
---
as expected

# The rest of the state arrives, then what the log kept; now it may go.
(run 300ms)
expect 3 state="a b c d e f g"
(compact 1)
expect 1 base=8@1 flow.3=replicate
---
as expected
as expected

# A follower that answers and does not move holds the log for a minute of beats, not for ever.
(partition 3)
(propose 1 h i)
(stabilize)
(compact 1)
(app 3 hold)
(heal)
(run 2s)
(propose 1 j k)
(run 1s)
(compact 1)
expect 1 base=10@1 flow.3=snapshot
---
as expected

(run 90s)
(compact 1)
expect 1 base=12@1
---
as expected
