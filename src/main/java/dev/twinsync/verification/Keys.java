package dev.twinsync.verification;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;

/**
 * Which keys were seen, in constant memory: per bucket their number and the sum of their hashes. A sum, since with an
 * exclusive or two equal changes cancel each other.
 */
final class Keys {

    static final int BUCKETS = 4096;

    private final long[] counts = new long[BUCKETS];
    private final long[] sums = new long[BUCKETS];
    private final MessageDigest md5;

    Keys() {
        try {
            md5 = MessageDigest.getInstance("MD5");
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    void add(String id) {
        long hash =
                ByteBuffer.wrap(md5.digest(id.getBytes(StandardCharsets.UTF_8))).getLong();
        int bucket = (int) (hash & BUCKETS - 1);
        counts[bucket]++;
        sums[bucket] += hash;
    }

    void set(int bucket, long count, long sum) {
        counts[bucket] = count;
        sums[bucket] = sum;
    }

    /** The buckets in which the two are not the same. */
    List<Integer> differing(Keys other) {
        List<Integer> buckets = new ArrayList<>();
        for (int i = 0; i < BUCKETS; i++) {
            if (counts[i] != other.counts[i] || sums[i] != other.sums[i]) {
                buckets.add(i);
            }
        }
        return buckets;
    }
}
