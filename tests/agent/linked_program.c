/* linked_program.c - a program that links libtrace, for the test that tells kinds of programs apart: the note is all there is. */
__asm__(".pushsection .note.gtrace, \"a\", %note\n"
	".balign 4\n"
	".long 7, 4, 1\n"
	".asciz \"gtrace\"\n"
	".balign 4\n"
	".long 1\n"
	".popsection\n");

int main(void)
{
	return 0;
}
