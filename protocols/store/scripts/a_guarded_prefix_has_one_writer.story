# Fencing. A holder that slept for longer than its lease writes over what the next holder wrote: with a guard, apply
# refuses whoever does not carry the token of the holder at that place in the log.
guard data/ by=lock
expect guards="data/:lock" rev=1
---
revision 1
as expected

# Nobody holds the lock: nobody writes.
put data/a 0
expect answer="fenced at revision 1: data/ needs token none of lock, not none" rev=1
---
fenced at revision 1: data/ needs token none of lock, not none
as expected

(grant 1 10)
(put lock/1 lease=1)
(grant 2 10)
(put lock/2 lease=2)
put data/a 0
expect answer="fenced at revision 3: data/ needs token 2 of lock, not none"
---
fenced at revision 3: data/ needs token 2 of lock, not none
as expected

# Who waits does not hold.
put data/a 0 fence="lock:3"
expect answer="fenced at revision 3: data/ needs token 2 of lock, not 3"
---
fenced at revision 3: data/ needs token 2 of lock, not 3
as expected

put data/a 1 fence="lock:2"
expect rev=4 value.data/a=1
---
revision 4
as expected

# What lies elsewhere, and reading, is free.
put other 1
expect rev=5
---
revision 5
as expected

# The first holder sleeps; its lease expires, and the line moves up.
revoke 1 by=1
expect keys="data/a lock/2 other"
---
revision 6
as expected

put data/a late fence="lock:2"
expect answer="fenced at revision 6: data/ needs token 3 of lock, not 2" value.data/a=1
---
fenced at revision 6: data/ needs token 3 of lock, not 2
as expected

put data/a 2 fence="lock:3"
expect value.data/a=2
---
revision 7
as expected

# One of several tokens may be the one.
put data/a 3 fence="other:1,lock:3"
expect value.data/a=3
---
revision 8
as expected

# A crash forgets nothing of it.
crash
replay
put data/a late fence="lock:2"
expect answer="fenced at revision 8: data/ needs token 3 of lock, not 2" guards="data/:lock"
---
open at entry 0 of 14
1: revision 1
2: fenced at revision 1: data/ needs token none of lock, not none
3: revision 1, lease 1 for 10s
4: revision 2
5: revision 2, lease 2 for 10s
6: revision 3
7: fenced at revision 3: data/ needs token 2 of lock, not none
8: fenced at revision 3: data/ needs token 2 of lock, not 3
9: revision 4
10: revision 5
11: revision 6
12: fenced at revision 6: data/ needs token 3 of lock, not 2
13: revision 7
14: revision 8
fenced at revision 8: data/ needs token 3 of lock, not 2
as expected

unguard data/
put data/a 4
expect value.data/a=4 guards=""
---
revision 8
revision 9
as expected
