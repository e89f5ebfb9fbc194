# Bug class B5: an operation that was retried is done twice, also when a restart lies between.
put a 1 op=n2/1
put a 2
put a 1 op=n2/1
expect answer="passed over" value.a=2 rev=3 applied=3
---
revision 2
revision 3
passed over
as expected

sync
crash
put a 1 op=n2/1
expect answer="passed over" value.a=2 rev=3 applied=4
---
synced up to entry 3
open at entry 3 of 3
passed over
as expected

# Another origin counts for itself.
put a 3 op=n3/1
expect value.a=3 rev=4
---
revision 4
as expected
