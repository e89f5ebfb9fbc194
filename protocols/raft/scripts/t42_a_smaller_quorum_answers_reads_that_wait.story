# Trap 42: reads wait for the answers of a quorum; the quorum becomes smaller, what there is suffices
# now, and nobody looks again.
(cluster nodes=3)
(campaign 1)
(stabilize)
(reconfigure 1 voters="1")
(deliver kind=Append)
(cut 1 3)
(cut 1 2)
(read 1 7)
expect 1 read.7=pending members="{1 from 1 2 3}"
---
as expected

# The answer to the change proves nothing about the read, which began later. Alone, the leader needs
# no proof.
(deliver kind=Appended)
expect 1 read.7=1 members="{1}"
expect 1 commit=3
---
as expected
as expected
