// The program that a folder of the library is linked into, to see that it needs no other.
int main() {}
