/*
 * main.c - the simulation is a library, so that its variables can be set back for each seed.
 */
int sim_main(int argc, char **argv);

int main(int argc, char **argv)
{
	return sim_main(argc, argv);
}
