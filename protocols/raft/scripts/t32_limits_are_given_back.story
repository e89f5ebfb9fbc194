# Trap 32: a counter of bytes or of appends in flight leaks, and proposals stall for ever.
(cluster nodes=3 inflight=2 cached_bytes=1000)
(campaign 1)
(stabilize)
(app 1 hold)
(propose 1 count=20 size=152)
(stabilize)
# 200 bytes each with their overhead: five fit, the others are handed back.
expect 1 refused=15 last=6@1 commit=6 applied=1
---
as expected

(app 1 release)
(propose 1 count=5 size=152)
(stabilize)
expect 1 refused=15 last=11@1 commit=11 applied=11
---
as expected

# No more than two appends are under way to each follower; what is lost gives its place back.
(propose 1 a)
(propose 1 b)
(propose 1 c)
expect wire.Append=4
expect 1 flight.2=2
---
as expected
as expected

(drop)
(run 1s)
expect 1 flight.2=0 flight.3=0 commit=14 applied=14
expect 2 applied=14
expect 3 applied=14
---
as expected
as expected
as expected

# Entries that another leader replaced give their place back too: member 1 leads again and takes as
# many proposals as at the beginning.
(partition 1)
(propose 1 count=4 size=152)
(run 5s)
(heal)
(run 5s)
(transfer 2 1)
(transfer 3 1)
(run 1s)
(propose 1 count=4 size=152)
(stabilize)
expect 1 role=leader refused=15
---
as expected
