# Trap B7: an expiry that the leader of term 1 decided comes into the log of term 2, and takes a
# lease that the new leader renewed.
(grant 5 60)
(put a 1 lease=5)
term 2
revoke 5 by=1
expect leases=5 keys=a rev=2 applied=3
---
revision 2
as expected

# Its successor's own does, and a client's needs no term.
revoke 5 by=2
expect leases="" keys="" rev=3
---
revision 3
as expected

(grant 7 60)
revoke 7
expect leases="" rev=3
---
revision 3
as expected
