# Trap 31: committed entries are given out in pages, and a page boundary skips entries or takes the
# commit index back. 2,500 entries make three pages; the state machine of this lab stops at a gap.
(cluster nodes=3 append_bytes=4096)
(campaign 1)
(stabilize)
(app 2 hold)
(propose 1 count=2500 size=1)
(stabilize)
(app 2 release)
expect 1 commit=2501 applied=2501
expect 2 commit=2501 applied=2501
expect committed=2501
---
as expected
as expected
as expected

# The same after a restart, which gives all of it out again.
(crash 2)
(restart 2)
(run 1s)
expect 2 commit=2501 applied=2501
---
as expected
