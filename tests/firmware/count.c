/* A plugin of QEMU's that counts how often each instruction of the flash is executed. The counts lie in a file, 64 bits
 * for each halfword, and can be read while the machine runs:
 *
 *   cc -O2 -shared -fPIC -o count.so count.c
 *   qemu-system-arm ... -plugin count.so,counts=FILE
 *
 * What is used of QEMU's plugin interface, version 1, is declared here, so that no header of QEMU's is needed. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef uint64_t id;
struct tb;
struct insn;
void qemu_plugin_register_vcpu_tb_trans_cb(id, void (*)(id, struct tb *));
size_t qemu_plugin_tb_n_insns(const struct tb *);
struct insn *qemu_plugin_tb_get_insn(const struct tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct insn *);
enum operation { ADD_U64 };
void qemu_plugin_register_vcpu_insn_exec_inline(struct insn *, enum operation, void *, uint64_t);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

#define FLASH (256 * 1024)
static uint64_t *counts;

static void translated(id id, struct tb *tb)
{
    size_t n = qemu_plugin_tb_n_insns(tb);
    for (size_t i = 0; i < n; i++) {
        struct insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint64_t address = qemu_plugin_insn_vaddr(insn);
        if (address < FLASH)
            qemu_plugin_register_vcpu_insn_exec_inline(insn, ADD_U64, &counts[address / 2], 1);
    }
    (void)id;
}

__attribute__((visibility("default"))) int qemu_plugin_install(id id, const void *info, int argc, char **argv)
{
    size_t size = FLASH / 2 * sizeof *counts;
    int file = -1;
    if (argc == 1 && strncmp(argv[0], "counts=", 7) == 0)
        file = open(argv[0] + 7, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || ftruncate(file, size) != 0)
        return 1;
    counts = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (counts == MAP_FAILED)
        return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    (void)info;
    return 0;
}
