/* web.S - the files of web/ in the binary. */
	.section .rodata
	.macro file name, path
	.globl gt__web_\name
	.globl gt__web_\name\()_end
	.hidden gt__web_\name
	.hidden gt__web_\name\()_end
gt__web_\name:
	.incbin "\path"
gt__web_\name\()_end:
	.byte 0
	.endm

#define WEB(name, path, url, kind) file name, path
#include "viewer/web.def"
	.section .note.GNU-stack, "", %progbits
