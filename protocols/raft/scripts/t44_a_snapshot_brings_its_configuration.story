# Trap 44: a member that takes a snapshot goes on with the configuration that it had before.
(cluster nodes=3)
(campaign 1)
(stabilize)
(partition 3)
(join 4)
(cut 4 3)
(cut 3 4)
(reconfigure 1 voters="1 2 3" learners="4")
(run 300ms)
(reconfigure 1 voters="1 2 3 4")
(run 300ms)
(propose 1 a b)
(run 300ms)
expect 1 members="{1 2 3 4}" commit=6
expect 3 members="{1 2 3}" last=1@1
---
as expected
as expected

(compact 1)
(heal)
(run 500ms)
expect 3 base=6@1 members="{1 2 3 4}" state="a b"
---
as expected

# It holds after a restart too, and a machine that joins the log's newest part learns it from there.
(crash 3)
(restart 3)
expect 3 members="{1 2 3 4}"
---
as expected
