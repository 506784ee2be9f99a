# floors.awk RATES INSPECTED: each kernel of a profiled run beside the least that its bytes and atomics take at the rates of this GPU.
#   RATES      what rates_gpu printed         INSPECTED   what `nightshift inspect RUN` printed
#   -v         leaves, trees, n and v (training and validation rows), wall (seconds of the same rounds, not profiled)
# A row has 40 numbers and 10 categories of at most 256 bins: 52 bytes when packed. What is scattered moves sectors of 32 bytes. Of
# kernels that touch no rows the floor is their launch.
FILENAME == ARGV[1] { rate[$1] = $2; next }
$1 == "rows" { histogram = $2; parted = $5; next }
$1 == "launches" { inside = 1; next }
inside && NF == 4 { name[++k] = $1; launches[$1] = $2; took[$1] = $3 }
END {
    b = rate["memory_bytes_per_s"]; a = rate["shared_atomics_per_s"]; s = rate["sectors_bytes_per_s"]
    t = trees * n
    floor["take_gradients"] = t * (8 + 4 + 16) / b
    floor["round_gradients"] = t * (16 + 8 + 4) / b
    floor["list_rows"] = t * 4 / b
    bytes = t * (4 + 52 + 4) / b + (histogram - t) * (4 / b + (64 + 32) / s)
    atomics = histogram * 50 * 3 / a
    floor["histogram"] = bytes > atomics ? bytes : atomics
    floor["part"] = parted * 8 / b + t / b + (parted - t) * 32 / s
    floor["take_leaves"] = t * (4 + 4 + 16) / b
    floor["walk_rest"] = trees * v * 54 / b
    floor["advance"] = trees * (n + v) * (8 + 8 + 4 + 4) / b
    printf "%-10s %-22s %9s %11s %11s %11s %6s\n", "bench", "kernel, " leaves " leaves", "launches", "seconds", "us each", "floor s", "times"
    for (i = 1; i <= k; i++) {
        kernel = name[i]
        if (kernel ~ /^(test_arithmetic|count_keys|bin_values|pack_rows|set_base|normalise|replay_tree|score)$/) continue
        least = kernel in floor ? floor[kernel] : launches[kernel] / rate["launches_per_s"]
        printf "%-10s %-22s %9d %11.6f %11.2f %11.6f %6.1f\n", "bench", kernel, launches[kernel], took[kernel], 1e6 * took[kernel] / launches[kernel], least, took[kernel] / least
        all += took[kernel]
        floors += least
    }
    printf "%-10s %-58s %.3f s of kernels, floors %.3f s: %.2f times (at most 3)\n", "bench", leaves " leaves: all kernels of the rounds", all, floors, all / floors
    printf "%-10s %-58s %.0f %% (at least 90)\n", "bench", leaves " leaves: share of the rounds that kernels run", 100 * all / wall
}
