package dev.twinsync.api;

import dev.twinsync.InvalidSetting;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.context.properties.bind.Bindable;
import org.springframework.boot.context.properties.bind.Binder;
import org.springframework.core.env.Environment;
import org.springframework.security.core.userdetails.User;
import org.springframework.security.core.userdetails.UserDetails;
import org.springframework.security.crypto.bcrypt.BCryptPasswordEncoder;
import org.springframework.stereotype.Component;

/** Who may call: a key for each backend, a key for ops, and the people of the console. */
@Component
class Callers {

    static final String OPS = "ops";

    private static final List<String> KNOWN_TO_ALL = List.of("app-key", "mini-key", "ops-key", "mini-api-key");

    private static final BCryptPasswordEncoder PASSWORD = new BCryptPasswordEncoder();

    private final Map<String, List<byte[]>> keys = new LinkedHashMap<>();
    private final List<UserDetails> people = new ArrayList<>();

    Callers(
            Environment environment,
            @Value("${twinsync.console.users:}") String users,
            @Value("${twinsync.dev:false}") boolean dev) {
        Binder.get(environment)
                .bind("twinsync.api.keys", Bindable.mapOf(String.class, String.class))
                .get()
                .forEach((name, list) -> {
                    List<byte[]> hashes = new ArrayList<>();
                    for (String key : list.split(",")) {
                        if (key.isBlank() || !dev && KNOWN_TO_ALL.contains(key.strip())) {
                            throw new InvalidSetting("SYNC_API_KEY_" + name.toUpperCase(java.util.Locale.ROOT)
                                    + ": write a key of your own (at least 20 random characters)");
                        }
                        hashes.add(hash(key.strip()));
                    }
                    keys.put(name, hashes);
                });
        for (String user : users.split(",")) {
            if (user.isBlank()) {
                continue;
            }
            String[] parts = user.strip().split(":", 3);
            if (parts.length != 3
                    || !List.of("viewer", "operator", "admin").contains(parts[1])
                    || !parts[2].matches("\\$2[aby]\\$\\d\\d\\$.{53}")) {
                throw new InvalidSetting(
                        "CONSOLE_USERS: write name:role:bcrypt,… with role viewer, operator or admin and the password's bcrypt");
            }
            if (!dev && (PASSWORD.matches("admin", parts[2]) || PASSWORD.matches(parts[0], parts[2]))) {
                throw new InvalidSetting("CONSOLE_USERS: the password of " + parts[0]
                        + " is one that everybody tries first: choose another and write its bcrypt");
            }
            people.add(User.withUsername(parts[0])
                    .password("{bcrypt}" + parts[2])
                    .roles(parts[1].toUpperCase(java.util.Locale.ROOT))
                    .build());
        }
    }

    List<UserDetails> people() {
        return people;
    }

    /** Whose key it is, or null; every key is compared, each in constant time. */
    String of(String key) {
        byte[] hash = hash(key);
        String found = null;
        for (Map.Entry<String, List<byte[]>> caller : keys.entrySet()) {
            for (byte[] known : caller.getValue()) {
                if (MessageDigest.isEqual(known, hash)) {
                    found = caller.getKey();
                }
            }
        }
        return found;
    }

    private static byte[] hash(String key) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(key.getBytes(StandardCharsets.UTF_8));
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }
}
