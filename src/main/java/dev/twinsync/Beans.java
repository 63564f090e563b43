package dev.twinsync;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.twinsync.record.Json;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.scheduling.annotation.EnableScheduling;

/** What the routes name and no package owns. */
@Configuration
@EnableScheduling
class Beans {

    /** The mapper of the JSLT mappings: money keeps its digits. Not the web's mapper, which Spring makes itself. */
    @Bean(autowireCandidate = false)
    ObjectMapper exactJson() {
        return Json.MAPPER;
    }
}
