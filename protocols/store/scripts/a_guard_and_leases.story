# Fencing: a client's revoke is a delete of the lease's keys and needs the token; a lease that expires takes its keys, or a
# dead client would leave them for ever. The keys of the lock's own line are never guarded by it.
(grant 1 10)
(guard data/ by=data/lock)
put data/lock/1 lease=1
expect keys="data/lock/1" rev=2
---
revision 2
as expected

(grant 2 10)
put data/a 1 lease=2 fence="data/lock:2"
expect attached.2="data/a"
---
revision 3
as expected

revoke 2
expect answer="fenced at revision 3: data/ needs token 2 of data/lock, not none" leases="1 2"
---
fenced at revision 3: data/ needs token 2 of data/lock, not none
as expected

revoke 2 fence="data/lock:2"
expect leases=1 keys="data/lock/1"
---
revision 4
as expected

(grant 3 10)
(put data/b 1 lease=3 fence="data/lock:2")
revoke 3 by=1
expect leases=1 keys="data/lock/1"
---
revision 6
as expected

# Giving the lock back needs no token, nor does taking it.
del data/lock/1
expect keys=""
---
revision 7, 1 deleted
as expected

put data/lock/2
put data/a 2 fence="data/lock:7"
expect answer="fenced at revision 8: data/ needs token 8 of data/lock, not 7"
---
revision 8
fenced at revision 8: data/ needs token 8 of data/lock, not 7
as expected
