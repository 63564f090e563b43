package dev.twinsync.capture;

import java.util.Collection;
import java.util.List;

/**
 * What a log or a feed said: which records changed, each key once however often it changed.
 *
 * @param ids keys, in the order of their first change
 * @param missed why changes may have been missed, so that all keys must be read; null for nothing missed
 */
public record Learned(Collection<String> ids, String missed) {

    static Learned missed(String reason) {
        return new Learned(List.of(), reason);
    }
}
